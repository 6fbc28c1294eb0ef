package benchmarks;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** What usage events leave behind: counters per day and feature, and the last day of each user. */
final class Account {
    private static final int RETENTION_DAYS = 92;

    int newest = -1;
    long newestAt;
    int lastDay = -1;
    Days days = new Days();
    final Map<String, Days> features = new HashMap<>();
    final Map<Long, Integer> users = new HashMap<>();

    void fold(Event event, long takenAt) {
        int brokerDay = (int) (takenAt / Event.MILLIS_PER_DAY);
        long at = event.atMillis();
        int day = (int) (at / Event.MILLIS_PER_DAY);
        if (brokerDay > newest) {
            newest = brokerDay;
            forget(newest - RETENTION_DAYS + 1);
        }
        if (day <= brokerDay - RETENTION_DAYS) {
            return;
        }
        days.add(day, event.quantity());
        features.computeIfAbsent(event.data().feature(), name -> new Days()).add(day, event.quantity());
        users.merge(event.user(), day, Math::max);
        lastDay = Math.max(lastDay, day);
        newestAt = Math.max(newestAt, at);
    }

    private void forget(int oldest) {
        days.forget(oldest);
        for (Iterator<Days> each = features.values().iterator(); each.hasNext(); ) {
            var feature = each.next();
            feature.forget(oldest);
            if (feature.size == 0) {
                each.remove();
            }
        }
        users.values().removeIf(day -> day < oldest);
    }

    static Serde<Account> serde() {
        return Serdes.serdeFrom((topic, account) -> write(account), (topic, bytes) -> read(bytes));
    }

    private static byte[] write(Account account) {
        if (account == null) {
            return null;
        }
        var bytes = new ByteArrayOutputStream(512);
        try (var out = new DataOutputStream(bytes)) {
            out.writeInt(account.newest);
            out.writeLong(account.newestAt);
            out.writeInt(account.lastDay);
            account.days.write(out);
            out.writeShort(account.features.size());
            for (var feature : account.features.entrySet()) {
                out.writeUTF(feature.getKey());
                feature.getValue().write(out);
            }
            out.writeInt(account.users.size());
            for (var user : account.users.entrySet()) {
                out.writeLong(user.getKey());
                out.writeInt(user.getValue());
            }
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        return bytes.toByteArray();
    }

    private static Account read(byte[] bytes) {
        if (bytes == null) {
            return null;
        }
        var account = new Account();
        try (var in = new DataInputStream(new ByteArrayInputStream(bytes))) {
            account.newest = in.readInt();
            account.newestAt = in.readLong();
            account.lastDay = in.readInt();
            account.days = Days.read(in);
            for (int left = in.readUnsignedShort(); left > 0; left--) {
                account.features.put(in.readUTF(), Days.read(in));
            }
            for (int left = in.readInt(); left > 0; left--) {
                account.users.put(in.readLong(), in.readInt());
            }
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
        return account;
    }
}
