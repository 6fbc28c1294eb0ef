"""The demo: the whole service on embedded servers, with made-up customers whose stories can be watched."""
