"""The demo: the whole service on embedded servers, with made-up customers whose fates can be watched."""
