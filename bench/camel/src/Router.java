import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;
import org.apache.camel.CamelContext;
import org.apache.camel.Exchange;
import org.apache.camel.Message;
import org.apache.camel.builder.RouteBuilder;
import org.apache.camel.component.kafka.KafkaConstants;
import org.apache.camel.main.Main;
import org.apache.camel.support.DefaultMessage;

/** The routing job on Apache Camel: `Router BROKERS FILE` runs a route file, `Router BROKERS` the same by hand in batches. */
public final class Router {
    private Router() {}

    public static void main(String[] arguments) throws Exception {
        Main main = new Main();
        main.addInitialProperty("camel.component.kafka.brokers", arguments[0]);
        main.addInitialProperty("camel.main.shutdownTimeout", "5");
        if (arguments.length > 1) {
            main.addInitialProperty("camel.main.routesIncludePattern", "file:" + arguments[1]);
        } else {
            main.configure().addRoutesBuilder(new Batches());
        }
        main.run();
    }

    /** One exchange for all records of a poll; the producer sends a list and waits once. */
    private static final class Batches extends RouteBuilder {
        private static final ObjectMapper JSON = new ObjectMapper();
        private static final String TO = "?lingerMs=5&producerBatchSize=262144";

        @Override
        public void configure() {
            from("kafka:routed-events?groupId=routing&autoOffsetReset=earliest&batching=true&maxPollRecords=4000&pollTimeoutMs=100"
                            + "&autoCommitEnable=false&allowManualCommit=false")
                    .process(Batches::route)
                    .setBody(exchangeProperty("notifications")).to("kafka:routed-notifications" + TO)
                    .setBody(exchangeProperty("audits")).to("kafka:routed-audits" + TO)
                    .setBody(exchangeProperty("dead"))
                    .filter(exchange -> !exchange.getMessage().getBody(List.class).isEmpty()).to("kafka:routed-events.dlq" + TO);
        }

        private static void route(Exchange batch) {
            CamelContext context = batch.getContext();
            List<Message> notifications = new ArrayList<>();
            List<Message> audits = new ArrayList<>();
            List<Message> dead = new ArrayList<>();
            for (Object item : batch.getMessage().getBody(List.class)) {
                Message record = ((Exchange) item).getMessage();
                String text = record.getBody(String.class);
                Object key = record.getHeader(KafkaConstants.KEY);
                try {
                    JsonNode event = JSON.readTree(text);
                    notifications.add(message(context, key, JSON.writeValueAsString(notification(event))));
                    audits.add(message(context, key, JSON.writeValueAsString(audit(event))));
                } catch (JsonProcessingException broken) {
                    dead.add(message(context, key, text));
                }
            }
            batch.setProperty("notifications", notifications);
            batch.setProperty("audits", audits);
            batch.setProperty("dead", dead);
        }

        private static Message message(CamelContext context, Object key, String body) {
            Message message = new DefaultMessage(context);
            message.setHeader(KafkaConstants.KEY, key);
            message.setBody(body);
            return message;
        }

        private static ObjectNode notification(JsonNode event) {
            String type = event.path("eventType").asText();
            ObjectNode told = JSON.createObjectNode();
            told.put("eventType", type.equals("user.login") ? "notification.push" : "notification.email");
            told.put("schemaVersion", 1);
            told.set("recipientId", event.path("data").get("employeeId"));
            ObjectNode data = told.putObject("data");
            data.put("template", switch (type) {
                case "user.created" -> "user-welcome";
                case "user.login" -> "login-new-device";
                default -> "user-notification";
            });
            data.set("name", event.path("data").get("firstName"));
            return from(event, told);
        }

        private static ObjectNode audit(JsonNode event) {
            ObjectNode told = JSON.createObjectNode().put("eventType", "audit.data").put("schemaVersion", 1);
            ObjectNode data = told.putObject("data");
            data.set("action", event.get("eventType"));
            data.set("employeeId", event.path("data").get("employeeId"));
            data.set("email", event.path("data").get("email"));
            return from(event, told);
        }

        private static ObjectNode from(JsonNode event, ObjectNode told) {
            told.set("timestamp", event.get("timestamp"));
            told.put("service", "router");
            told.set("causationId", event.get("eventId"));
            return told;
        }
    }
}
