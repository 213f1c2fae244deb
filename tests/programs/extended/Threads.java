import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.zip.Deflater;
import java.util.zip.Inflater;

/** Threads that come and go, with off-heap buffers and native compression; prints digests. */
public final class Threads {
    private static String sha(byte[] data) throws Exception {
        StringBuilder hex = new StringBuilder();
        for (byte b : MessageDigest.getInstance("SHA-256").digest(data)) hex.append(String.format("%02x", b));
        return hex.toString();
    }

    private static byte[] roundTrip(byte[] data, int level) throws Exception {
        Deflater deflater = new Deflater(level);
        deflater.setInput(data);
        deflater.finish();
        byte[] packed = new byte[data.length + 100];
        int size = deflater.deflate(packed);
        deflater.end();
        Inflater inflater = new Inflater();
        inflater.setInput(packed, 0, size);
        byte[] back = new byte[data.length];
        inflater.inflate(back);
        inflater.end();
        return back;
    }

    private static String work(int id) throws Exception {
        TreeMap<String, Integer> map = new TreeMap<>();
        for (int i = 0; i < 20000; i++) map.merge("key" + (i * 7919 + id) % 1009, i, Integer::sum);
        byte[] text = map.toString().getBytes(StandardCharsets.UTF_8);
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        for (int level = 0; level < 10; level++) digest.update(roundTrip(text, level));
        for (int i = 0; i < 100; i++) {
            ByteBuffer buffer = ByteBuffer.allocateDirect(1 + (i * 977 + id) % 40000);
            while (buffer.hasRemaining()) buffer.put((byte) i);
            buffer.flip();
            digest.update(buffer);
        }
        return id + " " + sha(digest.digest());
    }

    public static void main(String[] args) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(8);
        List<Future<String>> results = new ArrayList<>();
        for (int i = 0; i < 32; i++) {
            int id = i;
            results.add(pool.submit((Callable<String>) () -> work(id)));
        }
        for (Future<String> result : results) System.out.println(result.get());
        pool.shutdown();
        int[] sum = new int[500];
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < sum.length; i++) {
            int id = i;
            Thread thread = new Thread(() -> sum[id] = ByteBuffer.allocateDirect(1000 + id).capacity());
            thread.start();
            threads.add(thread);
        }
        for (Thread thread : threads) thread.join();
        System.out.println(IntStream.of(sum).sum());
        System.out.println(sha(IntStream.range(0, 200000).parallel().mapToObj(Integer::toHexString)
                .collect(Collectors.joining(",")).getBytes(StandardCharsets.UTF_8)));
    }
}
