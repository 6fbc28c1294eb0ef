package benchmarks;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.Arrays;

/** A count per day, sorted by day. */
final class Days {
    int[] days = new int[4];
    int[] counts = new int[4];
    int size;

    void add(int day, int count) {
        int place = Arrays.binarySearch(days, 0, size, day);
        if (place >= 0) {
            counts[place] += count;
            return;
        }
        place = -place - 1;
        if (size == days.length) {
            days = Arrays.copyOf(days, size * 2);
            counts = Arrays.copyOf(counts, size * 2);
        }
        System.arraycopy(days, place, days, place + 1, size - place);
        System.arraycopy(counts, place, counts, place + 1, size - place);
        days[place] = day;
        counts[place] = count;
        size++;
    }

    /** Drop what is before `oldest`. */
    void forget(int oldest) {
        int gone = 0;
        while (gone < size && days[gone] < oldest) {
            gone++;
        }
        if (gone > 0) {
            size -= gone;
            System.arraycopy(days, gone, days, 0, size);
            System.arraycopy(counts, gone, counts, 0, size);
        }
    }

    long sum(int first, int last) {
        long sum = 0;
        for (int i = 0; i < size; i++) {
            if (days[i] >= first && days[i] <= last) {
                sum += counts[i];
            }
        }
        return sum;
    }

    int last() {
        return size == 0 ? -1 : days[size - 1];
    }

    void write(DataOutputStream out) throws IOException {
        out.writeShort(size);
        for (int i = 0; i < size; i++) {
            out.writeInt(days[i]);
            out.writeInt(counts[i]);
        }
    }

    static Days read(DataInputStream in) throws IOException {
        var read = new Days();
        read.size = in.readUnsignedShort();
        read.days = new int[read.size + 1];
        read.counts = new int[read.size + 1];
        for (int i = 0; i < read.size; i++) {
            read.days[i] = in.readInt();
            read.counts[i] = in.readInt();
        }
        return read;
    }
}
