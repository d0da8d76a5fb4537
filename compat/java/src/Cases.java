/** Cases of a client program: run one after the other, a line each on stdout. */

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

final class Cases {
    /** A case that has not ended by then has failed; Apache Kafka on a busy machine is the measure. */
    private static final long CASE_SECONDS_MAX = 90;
    static final long WAIT_SECONDS_MAX = 30;

    interface Case {
        void run(String address) throws Exception;
    }

    interface Attempt {
        boolean holds() throws Exception;
    }

    private final Map<String, Case> cases = new LinkedHashMap<>();

    void add(String name, Case body) {
        if (cases.put(name, body) != null) {
            throw new IllegalStateException("two cases are called " + name);
        }
    }

    /** Runs the cases with the text in their name, or all. */
    void run(String[] arguments) throws InterruptedException {
        String wanted = arguments.length > 1 ? arguments[1] : "";
        for (Map.Entry<String, Case> entry : cases.entrySet()) {
            if (entry.getKey().contains(wanted)) {
                String reason = reasonOfFailure(entry.getValue(), arguments[0]);
                System.out.println(reason == null ? "PASS " + entry.getKey() : "FAIL " + entry.getKey() + ": " + reason);
            }
        }
        System.out.flush();
        // Threads of a case that hangs do not keep the program.
        Runtime.getRuntime().halt(0);
    }

    private static String reasonOfFailure(Case body, String address) throws InterruptedException {
        FutureTask<Void> task = new FutureTask<>(() -> {
            body.run(address);
            return null;
        });
        Thread thread = new Thread(task);
        thread.setDaemon(true);
        thread.start();
        try {
            task.get(CASE_SECONDS_MAX, TimeUnit.SECONDS);
            return null;
        } catch (ExecutionException failed) {
            return String.valueOf(failed.getCause()).replaceAll("\\s+", " ");
        } catch (TimeoutException late) {
            return "not done after " + CASE_SECONDS_MAX + " s";
        }
    }

    /** A name that no other case uses. */
    static String unique(String prefix) {
        return prefix + "-" + UUID.randomUUID().toString().substring(0, 13);
    }

    static void equal(Object found, Object expected) {
        if (!Objects.equals(found, expected)) {
            throw new AssertionError("found " + found + ", expected " + expected);
        }
    }

    static void holds(boolean condition, Object otherwise) {
        if (!condition) {
            throw new AssertionError(String.valueOf(otherwise));
        }
    }

    /** Repeats an attempt until it holds. */
    static void eventually(String what, Attempt attempt) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(WAIT_SECONDS_MAX);
        while (!attempt.holds()) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("not within " + WAIT_SECONDS_MAX + " s: " + what);
            }
            Thread.sleep(100);
        }
    }

    /** The error of a future that must fail. */
    static Throwable failure(Future<?> future) throws Exception {
        return failure(() -> future.get(WAIT_SECONDS_MAX, TimeUnit.SECONDS));
    }

    /** The error of a call that must fail. */
    static Throwable failure(Callable<?> call) throws Exception {
        try {
            call.call();
        } catch (ExecutionException failed) {
            return failed.getCause();
        } catch (RuntimeException failed) {
            return failed;
        }
        throw new AssertionError("it was not refused");
    }

    static <T> T done(Future<T> future) throws Exception {
        try {
            return future.get(WAIT_SECONDS_MAX, TimeUnit.SECONDS);
        } catch (ExecutionException failed) {
            throw failed.getCause() instanceof Exception cause ? cause : failed;
        }
    }
}
