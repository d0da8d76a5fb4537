import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collection;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.camel.Exchange;
import org.apache.camel.ExchangePattern;
import org.apache.camel.Message;
import org.apache.camel.component.direct.DirectComponent;
import org.apache.camel.component.mock.MockEndpoint;
import org.apache.camel.impl.DefaultCamelContext;
import org.apache.camel.spi.Resource;
import org.apache.camel.support.MessageHelper;
import org.apache.camel.support.PluginHelper;
import org.apache.camel.support.ResourceHelper;

/** Answers case folders with Apache Camel: `Cases [--record] FOLDER…`. */
public final class Cases {
    private static final ObjectMapper JSON =
            new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT, SerializationFeature.ORDER_MAP_ENTRIES_BY_KEYS);
    /** Most of a case is waiting, so that a few at a time do not disturb each other. */
    private static final int AT_A_TIME = 4;
    /** What expected.json says that is not Camel's: it stays as it is. */
    private static final List<String> OURS = List.of("anyOrder", "refusal");

    /** What came of a case: nothing of one that this Camel cannot run. */
    private record Outcome(Path folder, JsonNode expected, JsonNode actual) {
        String name() {
            return folder.getFileName().toString();
        }

        boolean isRun() {
            return actual != null;
        }

        boolean passes() {
            return plain(expected, expected).equals(plain(actual, expected));
        }
    }

    private Cases() {}

    public static void main(String[] arguments) throws Exception {
        boolean records = arguments.length > 0 && arguments[0].equals("--record");
        List<Path> folders = Arrays.stream(arguments).skip(records ? 1 : 0).map(Path::of).toList();
        int passed = 0;
        int failed = 0;
        int skipped = 0;
        for (Outcome outcome : outcomes(folders)) {
            if (!outcome.isRun()) {
                skipped++;
                System.out.println("SKIP " + outcome.name() + ": it needs a newer Camel than " + version());
                continue;
            }
            if (records) {
                record(outcome);
                continue;
            }
            if (!outcome.passes()) {
                // Cases run in real time: on its own, and with all of the machine, it may be another matter.
                outcome = outcome(outcome.folder());
            }
            if (outcome.passes()) {
                passed++;
                String why = outcome.actual().path("why").asText().lines().findFirst().orElse("");
                System.out.println("PASS " + outcome.name() + (why.isEmpty() ? "" : ": refused: " + why));
            } else {
                failed++;
                System.out.println("FAIL " + outcome.name() + "\n  expected " + plain(outcome.expected(), outcome.expected())
                        + "\n  actual   " + plain(outcome.actual(), outcome.expected()));
            }
        }
        if (!records) {
            System.out.println(passed + " passed, " + failed + " failed, " + skipped + " skipped");
        }
        System.exit(failed == 0 && (records || passed > 0) ? 0 : 1);
    }

    private static List<Outcome> outcomes(List<Path> folders) throws Exception {
        ExecutorService threads = Executors.newFixedThreadPool(AT_A_TIME);
        try {
            List<Outcome> outcomes = new ArrayList<>();
            for (Future<Outcome> outcome : threads.invokeAll(folders.stream().map(Cases::later).toList())) {
                outcomes.add(outcome.get());
            }
            return outcomes;
        } finally {
            threads.shutdown();
        }
    }

    private static Callable<Outcome> later(Path folder) {
        return () -> outcome(folder);
    }

    private static Outcome outcome(Path folder) throws Exception {
        JsonNode input = JSON.readTree(Files.readString(folder.resolve("input.json")));
        Path file = folder.resolve("expected.json");
        JsonNode expected = Files.exists(file) ? JSON.readTree(Files.readString(file)) : JSON.createObjectNode();
        boolean runs = !input.has("newerThan") || isNewer(version(), input.get("newerThan").asText());
        JsonNode actual = runs ? JSON.readTree(JSON.writeValueAsString(answer(folder, input))) : null;
        return new Outcome(folder, expected, actual);
    }

    private static void record(Outcome outcome) throws Exception {
        ObjectNode actual = (ObjectNode) outcome.actual();
        actual.remove("why");
        for (String ours : OURS) {
            if (outcome.expected().has(ours)) {
                actual.set(ours, outcome.expected().get(ours));
            }
        }
        Files.writeString(outcome.folder().resolve("expected.json"), JSON.writeValueAsString(actual) + "\n");
        System.out.println("RECORDED " + outcome.name());
    }

    private static String version() {
        return new DefaultCamelContext(false).getVersion();
    }

    /** Whether a version is newer than another, by their first two numbers. */
    private static boolean isNewer(String version, String than) {
        int[] numbers = Arrays.stream(version.split("\\.")).limit(2).mapToInt(Integer::parseInt).toArray();
        int[] others = Arrays.stream(than.split("\\.")).limit(2).mapToInt(Integer::parseInt).toArray();
        return Arrays.compare(numbers, others) > 0;
    }

    /** What counts in a comparison: endpoints without messages and values that are null do not. */
    private static JsonNode plain(JsonNode node, JsonNode expected) {
        JsonNode copy = node.deepCopy();
        if (copy instanceof ObjectNode object) {
            object.remove(OURS);
            object.remove("why");
            if (object.get("endpoints") instanceof ObjectNode endpoints) {
                for (Iterator<JsonNode> all = endpoints.iterator(); all.hasNext();) {
                    if (all.next().isEmpty()) {
                        all.remove();
                    }
                }
                expected.path("anyOrder").forEach(name -> sort(endpoints, name.asText()));
            }
            removeNulls(object);
        }
        return copy;
    }

    private static void sort(ObjectNode endpoints, String name) {
        if (endpoints.get(name) instanceof ArrayNode received) {
            List<JsonNode> sorted = new ArrayList<>();
            received.forEach(sorted::add);
            sorted.sort(Comparator.comparing(JsonNode::toString));
            endpoints.putArray(name).addAll(sorted);
        }
    }

    private static void removeNulls(JsonNode node) {
        for (Iterator<JsonNode> all = node.iterator(); all.hasNext();) {
            JsonNode child = all.next();
            if (child.isNull() && node instanceof ObjectNode) {
                all.remove();
            } else {
                removeNulls(child);
            }
        }
    }

    private static ObjectNode answer(Path folder, JsonNode input) throws Exception {
        ObjectNode out = JSON.createObjectNode();
        try (DefaultCamelContext context = new DefaultCamelContext()) {
            Properties properties = new Properties();
            input.path("properties").fields().forEachRemaining(entry -> properties.put(entry.getKey(), entry.getValue().asText()));
            context.getPropertiesComponent().setInitialProperties(properties);
            context.getShutdownStrategy().setTimeout(1);
            // Half a minute otherwise, for an endpoint that never has a consumer.
            context.getComponent("direct", DirectComponent.class).setTimeout(500);
            try {
                Resource route = ResourceHelper.fromBytes("route.yaml", Files.readAllBytes(folder.resolve("route.yaml")));
                PluginHelper.getRoutesLoader(context).loadRoutes(route);
                context.start();
            } catch (Exception refused) {
                return out.put("loadError", true).put("why", refused.toString());
            }
            ArrayNode results = JSON.createArrayNode();
            for (JsonNode message : input.path("messages")) {
                Thread.sleep(message.path("delayMs").asLong(0));
                results.add(send(context, message, input));
            }
            settle(context, input.path("settleMs").asLong(150));
            List<MockEndpoint> mocks = mocks(context);
            if (input.path("stops").asBoolean()) {
                context.stop();
            }
            ObjectNode endpoints = out.putObject("endpoints");
            for (MockEndpoint mock : mocks) {
                ArrayNode list = endpoints.putArray(mock.getEndpointUri().replace("mock://", "mock:"));
                for (Exchange exchange : mock.getReceivedExchanges()) {
                    list.add(received(exchange, input));
                }
            }
            out.set("results", results);
        }
        return out;
    }

    private static ObjectNode send(DefaultCamelContext context, JsonNode message, JsonNode input) throws Exception {
        boolean asks = message.path("pattern").asText().equals("InOut");
        Exchange sent = context.getEndpoint(message.path("to").asText("direct:start"))
                .createExchange(asks ? ExchangePattern.InOut : ExchangePattern.InOnly);
        if (message.has("jsonBody")) {
            sent.getIn().setBody(new ObjectMapper().writeValueAsString(message.get("jsonBody")));
        } else if (message.has("body")) {
            sent.getIn().setBody(JSON.treeToValue(message.get("body"), Object.class));
        }
        message.path("headers").fields().forEachRemaining(entry -> sent.getIn().setHeader(entry.getKey(), value(entry.getValue())));
        message.path("exchangeProperties").fields().forEachRemaining(entry -> sent.setProperty(entry.getKey(), value(entry.getValue())));
        Exchange back = context.createProducerTemplate().send(message.path("to").asText("direct:start"), sent);
        ObjectNode result = JSON.createObjectNode();
        Exception failure = back.getException();
        result.put("failed", failure != null);
        if (failure != null) {
            result.put("exception", failure.getClass().getName());
            if (!input.path("ignoreExceptionMessage").asBoolean() && failure.getMessage() != null) {
                result.put("message", failure.getMessage().replaceAll("Exchange\\[[^\\]]*\\]", "Exchange[]"));
            }
        } else if (asks) {
            body(result, back.getMessage());
            result.set("headers", headers(back.getMessage(), input));
        }
        return result;
    }

    private static Object value(JsonNode node) {
        try {
            return JSON.treeToValue(node, Object.class);
        } catch (Exception impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    private static ObjectNode received(Exchange exchange, JsonNode input) {
        ObjectNode out = JSON.createObjectNode();
        body(out, exchange.getMessage());
        out.set("headers", headers(exchange.getMessage(), input));
        if (input.has("recordProperties")) {
            ObjectNode properties = out.putObject("properties");
            for (JsonNode name : input.get("recordProperties")) {
                properties.set(name.asText(), JSON.valueToTree(simple(exchange.getProperty(name.asText()))));
            }
        }
        return out;
    }

    private static ObjectNode headers(Message message, JsonNode input) {
        List<String> recorded = new ArrayList<>();
        input.path("recordHeaders").forEach(name -> recorded.add(name.asText()));
        ObjectNode out = JSON.createObjectNode();
        new TreeMap<>(message.getHeaders()).forEach((name, value) -> {
            if (!name.startsWith("Camel") || recorded.contains(name)) {
                out.set(name, JSON.valueToTree(simple(value)));
            }
        });
        return out;
    }

    private static Object simple(Object value) {
        boolean isPlain = value == null || value instanceof String || value instanceof Number || value instanceof Boolean
                || value instanceof Map || value instanceof Collection || value instanceof JsonNode;
        return isPlain ? value : value.toString();
    }

    private static void body(ObjectNode out, Message message) {
        MessageHelper.resetStreamCache(message);
        Object body = message.getBody();
        if (body == null) {
            out.putNull("body").put("bodyType", "null");
        } else if (body instanceof String text) {
            out.put("body", text).put("bodyType", "string");
        } else if (body instanceof byte[] || body instanceof InputStream) {
            out.put("body", Base64.getEncoder().encodeToString(message.getBody(byte[].class))).put("bodyType", "bytes");
        } else if (body instanceof JsonNode tree) {
            out.put("bodyType", "json").set("body", tree);
        } else if (body instanceof Map<?, ?> map) {
            out.put("bodyType", "map").set("body", JSON.valueToTree(map));
        } else if (body instanceof List<?> list && list.stream().noneMatch(Exchange.class::isInstance)) {
            out.put("bodyType", "list").set("body", JSON.valueToTree(list));
        } else if (body instanceof Boolean yes) {
            out.put("body", yes).put("bodyType", "boolean");
        } else if (body instanceof Integer || body instanceof Long || body instanceof Short || body instanceof Byte) {
            out.put("body", ((Number) body).longValue()).put("bodyType", "integer");
        } else if (body instanceof Number) {
            out.put("bodyType", "decimal").set("body", JSON.valueToTree(body));
        } else if (body instanceof Throwable) {
            out.put("body", body.getClass().getName()).put("bodyType", "exception");
        } else {
            out.put("bodyType", "other").putNull("body");
        }
    }

    private static List<MockEndpoint> mocks(DefaultCamelContext context) {
        List<MockEndpoint> found = new ArrayList<>();
        context.getEndpoints().forEach(endpoint -> {
            if (endpoint instanceof MockEndpoint mock) {
                found.add(mock);
            }
        });
        return found;
    }

    private static void settle(DefaultCamelContext context, long quietMs) throws InterruptedException {
        int before = -1;
        while (true) {
            int now = mocks(context).stream().mapToInt(MockEndpoint::getReceivedCounter).sum();
            if (now == before) {
                return;
            }
            before = now;
            Thread.sleep(quietMs);
        }
    }
}
