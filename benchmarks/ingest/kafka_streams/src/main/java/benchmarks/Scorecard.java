package benchmarks;

/** The service's default scorecard, for accounts that send usage only: no seats, tickets or surveys. */
final class Scorecard {
    private static final double MISSING = Double.NaN;
    private static final double WEIGHT = 105;
    private static final double MIN_COVERAGE = 0.5;

    /** What a score consists of; `score` is NaN where too little is known. */
    record Score(double score, String band, double coverage, int day, String measures) {}

    private record Measure(String name, double weight, double[] curve, double vetoBelow, double vetoCap, String missing) {
        double score(double value) {
            int last = curve.length - 2;
            if (value <= curve[0]) {
                return curve[1];
            }
            if (value >= curve[last]) {
                return curve[last + 1];
            }
            int i = 0;
            while (curve[i + 2] <= value) {
                i += 2;
            }
            return curve[i + 1] + (curve[i + 3] - curve[i + 1]) / (curve[i + 2] - curve[i]) * (value - curve[i]);
        }
    }

    private static Measure measure(String name, double weight, String missing, double... curve) {
        return new Measure(name, weight, curve, -1, 100, missing);
    }

    private static final Measure[] MEASURES = {
        new Measure("days_since_last_use", 20, new double[] {1, 100, 7, 75, 14, 40, 30, 0}, 25, 35, "no_usage_ever"),
        new Measure("silence_ratio", 10, new double[] {1, 100, 3, 60, 6, 20, 10, 0}, 5, 60, "too_few_active_days"),
        measure("active_days", 15, "no_usage_ever", 0, 0, 4, 40, 12, 80, 20, 100),
        measure("usage_trend", 15, "no_usage_before", 0, 0, 0.5, 30, 0.8, 65, 1, 80, 1.25, 100),
        measure("feature_adoption", 10, "no_usage_ever", 0, 0, 2, 40, 5, 80, 8, 100),
        measure("seat_utilization", 10, "no_seats", 0, 0, 30, 45, 70, 90, 90, 100),
        measure("urgent_open_tickets", 10, "", 0, 100, 1, 70, 3, 25, 5, 0),
        measure("oldest_open_ticket_days", 5, "", 0, 100, 3, 85, 14, 40, 30, 0),
        measure("nps", 10, "no_answers", -100, 0, 0, 50, 50, 90, 100, 100),
    };

    static Score evaluate(Account account, int day) {
        double[] values = {
            day - account.lastDay, silence(account, day), activeDays(account, day - 29), trend(account, day),
            adoption(account, day - 29), MISSING, 0, 0, MISSING,
        };
        var scores = new double[values.length];
        double known = 0;
        for (int i = 0; i < values.length; i++) {
            scores[i] = Double.isNaN(values[i]) ? MISSING : MEASURES[i].score(values[i]);
            known += Double.isNaN(values[i]) ? 0 : MEASURES[i].weight;
        }
        double coverage = known / WEIGHT;
        boolean unknown = coverage < MIN_COVERAGE;
        double total = 0, cap = 100;
        String capped = null;
        var json = new StringBuilder(700).append('{');
        for (int i = 0; i < values.length; i++) {
            var measure = MEASURES[i];
            boolean missing = Double.isNaN(values[i]);
            double contribution = missing || unknown ? MISSING : measure.weight * scores[i] / known;
            total += Double.isNaN(contribution) ? 0 : contribution;
            append(json, measure.name, values[i], scores[i], contribution, missing ? measure.missing : null);
            if (!missing && scores[i] < measure.vetoBelow && measure.vetoCap < cap) {
                cap = measure.vetoCap;
                capped = measure.name;
            }
        }
        if (capped != null && total > cap && !unknown) {
            append(json, "veto:" + capped, MISSING, MISSING, cap - total, null);
            total = cap;
        }
        json.setCharAt(json.length() - 1, '}');
        String band = unknown ? "unknown" : total >= 70 ? "green" : total >= 40 ? "yellow" : "red";
        return new Score(unknown ? MISSING : total, band, coverage, day, json.toString());
    }

    private static double silence(Account account, int day) {
        var days = account.days;
        int start = 0;
        while (start < days.size && days.days[start] < day - 91) {
            start++;
        }
        int active = days.size - start;
        if (active < 3) {
            return MISSING;
        }
        var gaps = new int[active - 1];
        for (int i = 0; i < gaps.length; i++) {
            gaps[i] = days.days[start + i + 1] - days.days[start + i];
        }
        java.util.Arrays.sort(gaps);
        double median = (gaps[(gaps.length - 1) / 2] + gaps[gaps.length / 2]) / 2.0;
        return (day - account.lastDay) / median;
    }

    private static double activeDays(Account account, int first) {
        int active = 0;
        for (int i = 0; i < account.days.size; i++) {
            active += account.days.days[i] >= first ? 1 : 0;
        }
        return active;
    }

    private static double trend(Account account, int day) {
        long before = account.days.sum(day - 55, day - 28);
        return before == 0 ? MISSING : (double) account.days.sum(day - 27, day) / before;
    }

    private static double adoption(Account account, int first) {
        return account.features.values().stream().filter(days -> days.last() >= first).count();
    }

    private static void append(
            StringBuilder json, String name, double value, double score, double contribution, String missing) {
        json.append('"').append(name).append("\":[");
        number(json, value).append(',');
        number(json, score).append(',');
        number(json, contribution).append(',');
        json.append(missing == null ? "null" : '"' + missing + '"').append("],");
    }

    private static StringBuilder number(StringBuilder json, double value) {
        return Double.isNaN(value) ? json.append("null") : json.append(value);
    }

    private Scorecard() {}
}
