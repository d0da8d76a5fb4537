import java.io.File;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Date;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import org.apache.camel.CamelContext;
import org.apache.camel.Exchange;
import org.apache.camel.Expression;
import org.apache.camel.Predicate;
import org.apache.camel.impl.DefaultCamelContext;
import org.apache.camel.model.language.ExpressionDefinition;
import org.apache.camel.reifier.language.ExpressionReifier;
import org.apache.camel.support.DefaultExchange;
import org.apache.camel.support.PropertyBindingSupport;

/** Asks Apache Camel about each case of a table and prints the table with what it answered. */
public final class Expressions {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Map<String, String> DEFINITIONS = Map.of(
            "simple", "SimpleExpression", "jq", "JqExpression", "jsonpath", "JsonPathExpression",
            "tokenize", "TokenizerExpression", "constant", "ConstantExpression", "header", "HeaderExpression",
            "exchangeProperty", "ExchangePropertyExpression", "variable", "VariableExpression");

    private static final int MESSAGE_MAX = 160;

    private Expressions() {
    }

    public static void main(String[] arguments) throws Exception {
        try (CamelContext context = new DefaultCamelContext()) {
            context.getPropertiesComponent().addInitialProperty("greeting", "hello");
            context.getPropertiesComponent().addInitialProperty("limit", "5");
            context.start();
            ArrayNode cases = (ArrayNode) JSON.readTree(new File(arguments[0]));
            StringBuilder out = new StringBuilder("[\n");
            for (int i = 0; i < cases.size(); i++) {
                ObjectNode one = (ObjectNode) cases.get(i);
                one.set("camel", ask(context, one));
                out.append("  ").append(JSON.writeValueAsString(one)).append(i + 1 < cases.size() ? ",\n" : "\n");
            }
            System.out.print(out.append("]\n"));
        }
    }

    private static ObjectNode ask(CamelContext context, ObjectNode one) {
        ObjectNode answer = JSON.createObjectNode();
        Expression expression = null;
        Predicate predicate = null;
        String as = one.path("as").asText("value");
        try {
            ExpressionReifier<?> reifier = ExpressionReifier.reifier(context, definition(context, one));
            if (as.equals("predicate")) {
                predicate = reifier.createPredicate();
                predicate.init(context);
            } else {
                expression = reifier.createExpression();
                expression.init(context);
            }
        } catch (Throwable error) {
            return answer.put("refused", message(error));
        }
        try {
            Exchange exchange = exchange(context, one);
            if (predicate != null) {
                answer.put("matches", predicate.matches(exchange));
            } else if (as.equals("text")) {
                answer.put("value", expression.evaluate(exchange, String.class)).put("type", "string");
            } else {
                describe(expression.evaluate(exchange, Object.class), answer);
            }
        } catch (Throwable error) {
            answer.removeAll();
            answer.put("fails", message(error));
        }
        return answer;
    }

    private static String message(Throwable error) {
        Throwable root = error;
        while (root.getCause() != null && root.getCause() != root) {
            root = root.getCause();
        }
        String text = String.valueOf(root.getMessage());
        String told = root.getClass().getName() + ": " + text.lines().findFirst().orElse("");
        // what differs from run to run
        told = told.replaceAll("Exchange\\[[^\\]]*\\]", "Exchange[]");
        return told.length() > MESSAGE_MAX ? told.substring(0, MESSAGE_MAX) : told;
    }

    private static ExpressionDefinition definition(CamelContext context, ObjectNode one) throws Exception {
        Class<?> type = Class.forName("org.apache.camel.model.language."
                + DEFINITIONS.get(one.get("language").asText()));
        ExpressionDefinition definition = (ExpressionDefinition) type.getDeclaredConstructor().newInstance();
        definition.setExpression(one.get("text").asText());
        Map<String, Object> options = new LinkedHashMap<>();
        if (one.get("language").asText().equals("tokenize")) {
            options.put("token", one.get("text").asText());
        }
        one.path("options").fields().forEachRemaining(option -> {
            String name = option.getKey().equals("resultType") ? "resultTypeName" : option.getKey();
            options.put(name, option.getValue().asText());
        });
        for (Map.Entry<String, Object> option : options.entrySet()) {
            PropertyBindingSupport.build().withCamelContext(context).withTarget(definition)
                    .withProperty(option.getKey(), option.getValue()).withRemoveParameters(false).bind();
        }
        return definition;
    }

    private static Exchange exchange(CamelContext context, ObjectNode one) throws Exception {
        Exchange exchange = new DefaultExchange(context);
        if (one.has("jsonBody")) {
            exchange.getMessage().setBody(JSON.writeValueAsString(one.get("jsonBody")));
        } else if (one.has("bytesBody")) {
            exchange.getMessage().setBody(one.get("bytesBody").asText().getBytes("UTF-8"));
        } else {
            exchange.getMessage().setBody(value(one.get("body")));
        }
        one.path("headers").fields()
                .forEachRemaining(field -> exchange.getMessage().setHeader(field.getKey(), value(field.getValue())));
        one.path("properties").fields()
                .forEachRemaining(field -> exchange.setProperty(field.getKey(), value(field.getValue())));
        one.path("variables").fields()
                .forEachRemaining(field -> exchange.setVariable(field.getKey(), value(field.getValue())));
        if (one.has("exception")) {
            String[] parts = one.get("exception").asText().split(": ", 2);
            Exception thrown = (Exception) Class.forName(parts[0]).getConstructor(String.class).newInstance(parts[1]);
            exchange.setProperty(Exchange.EXCEPTION_CAUGHT, thrown);
        }
        return exchange;
    }

    private static Object value(JsonNode node) {
        return node == null ? null : JSON.convertValue(node, Object.class);
    }

    private static void describe(Object value, ObjectNode answer) {
        if (value == null) {
            answer.putNull("value").put("type", "null");
        } else if (value instanceof JsonNode node) {
            answer.set("value", node);
            answer.put("type", "json");
        } else if (value instanceof Boolean yes) {
            answer.put("value", yes).put("type", "boolean");
        } else if (value instanceof Integer || value instanceof Long || value instanceof Short) {
            answer.put("value", ((Number) value).longValue()).put("type", "integer");
        } else if (value instanceof Number number) {
            answer.put("value", number.doubleValue()).put("type", "decimal");
        } else if (value instanceof CharSequence text) {
            answer.put("value", text.toString()).put("type", "string");
        } else if (value instanceof byte[] bytes) {
            answer.put("value", Base64.getEncoder().encodeToString(bytes)).put("type", "bytes");
        } else if (value instanceof Date date) {
            answer.put("value", Instant.ofEpochMilli(date.getTime()).toString()).put("type", "date");
        } else if (value instanceof Throwable error) {
            answer.put("value", error.toString()).put("type", "exception");
        } else if (value instanceof Map<?, ?> map) {
            answer.set("value", JSON.valueToTree(map));
            answer.put("type", "map");
        } else if (value instanceof Object[] || value instanceof Iterable || value instanceof Iterator) {
            answer.set("value", JSON.valueToTree(elements(value)));
            answer.put("type", "list");
        } else {
            answer.put("value", value.toString()).put("type", "other");
        }
    }

    private static List<Object> elements(Object value) {
        List<Object> found = new ArrayList<>();
        Iterator<?> elements = value instanceof Object[] array ? List.of(array).iterator()
                : value instanceof Iterable<?> iterable ? iterable.iterator() : (Iterator<?>) value;
        while (elements.hasNext() && found.size() < 1000) {
            Object element = elements.next();
            found.add(element instanceof Iterator ? elements(element) : element);
        }
        return found;
    }
}
