package benchmarks;

/** The service's default scorecard, for accounts that send usage only: no seats, tickets or surveys. */
final class Scorecard {
    private static final double MISSING = Double.NaN;
    private static final double WEIGHT = 100;
    private static final double MIN_COVERAGE = 0.5;
    private static final double NEUTRAL = 50;

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
        measure("usage_volume", 12, "no_usage_ever",
            0, 0, 1, 30, 3, 39, 10, 49, 30, 61, 100, 73, 300, 83, 1000, 90, 3000, 95, 10000, 100),
        measure("usage_in_the_quarter", 10, "no_usage_ever",
            0, 0, 1, 25, 3, 33, 10, 43, 30, 53, 100, 64, 300, 75, 1000, 84, 3000, 91, 10000, 96, 30000, 100),
        measure("active_days", 16, "no_usage_ever", 0, 0, 1, 30, 4, 47, 10, 67, 20, 88, 30, 100),
        measure("feature_adoption", 15, "no_usage_ever", 0, 0, 1, 40, 2, 53, 4, 68, 8, 83, 16, 93, 32, 100),
        measure("seat_utilization", 12, "no_seats", 0, 0, 30, 45, 60, 75, 100, 100),
        measure("nps", 12, "no_answers", -100, 0, 0, 50, 100, 100),
        measure("usage_trend", 11, "too_young", 0, 0, 0.5, 40, 0.8, 80, 1, 100),
        new Measure("days_since_last_use", 6, new double[] {1, 50, 7, 36, 14, 20, 20, 12, 30, 0}, 12, 35, "no_usage_ever"),
        new Measure("silence_ratio", 0, new double[] {1, 50, 9, 10, 12, 0}, 10, 60, "too_few_active_days"),
        new Measure("urgent_open_tickets", 6, new double[] {0, 50, 1, 35, 3, 18, 5, 5, 7, 0}, 8, 35, ""),
    };

    static Score evaluate(Account account, int day) {
        double[] values = {
            account.days.sum(day - 27, day), account.days.sum(day - 83, day), activeDays(account, day - 29),
            adoption(account, day - 29), MISSING, MISSING, trend(account, day), day - account.lastDay,
            silence(account, day), 0,
        };
        var scores = new double[values.length];
        double known = 0;
        for (int i = 0; i < values.length; i++) {
            scores[i] = Double.isNaN(values[i]) ? NEUTRAL : MEASURES[i].score(values[i]);
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
            double contribution = unknown ? MISSING : measure.weight * scores[i] / WEIGHT;
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
        if (active < 5) {
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
        if (account.days.size == 0 || account.days.days[0] > day - 55) {
            return MISSING;
        }
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
