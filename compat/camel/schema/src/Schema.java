import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import com.networknt.schema.Error;
import com.networknt.schema.SchemaRegistry;
import com.networknt.schema.SpecificationVersion;
import java.io.BufferedReader;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Comparator;
import java.util.List;

/**
 * Judges files by Camel's own JSON schema of its YAML DSL. Each line of the standard input is a file's text as a
 * string of JSON, and is answered with a line: empty if the schema takes it, otherwise where and why it does not.
 * `--print` prints the schema.
 */
public final class Schema {
    private static final String PLACE = "/schema/camelYamlDsl.json";

    private static final ObjectMapper JSON = new ObjectMapper();
    /** As Camel's own validator reads files, but that a name may not stand twice. */
    private static final ObjectMapper YAML = new ObjectMapper(new YAMLFactory()).enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION);

    private Schema() {}

    public static void main(String[] arguments) throws Exception {
        String text;
        try (InputStream stream = Schema.class.getResourceAsStream(PLACE)) {
            text = new String(stream.readAllBytes(), StandardCharsets.UTF_8);
        }
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        if (arguments.length > 0 && arguments[0].equals("--print")) {
            out.print(text);
            return;
        }
        var schema = SchemaRegistry.withDefaultDialect(SpecificationVersion.DRAFT_4).getSchema(asCamelReads(JSON.readTree(text)));
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(answer(schema, JSON.readValue(line, String.class)));
        }
    }

    /**
     * Camel reads a scalar as the type that is wanted, and one text as a list of one, where its schema is stricter about
     * `5` and `"5"`: a number and a yes or no may be a text of that form, or a placeholder, and a text may be any scalar.
     */
    private static JsonNode asCamelReads(JsonNode schema) {
        for (JsonNode part : schema) {
            asCamelReads(part);
        }
        if (!(schema instanceof ObjectNode part) || !part.path("type").isTextual() || part.has("enum")) {
            return schema;
        }
        switch (part.get("type").asText()) {
            case "string" -> part.putArray("type").add("string").add("number").add("boolean");
            case "number", "integer" -> either(part, "number", "^\\s*-?[0-9.]+\\s*$|[{][{]");
            case "boolean" -> either(part, "boolean", "^\\s*(true|false)\\s*$|[{][{]");
            case "array" -> {
                if (part.path("items").path("type").toString().contains("string")) {
                    part.putArray("type").add("array").add("string");
                }
            }
            default -> { }
        }
        return schema;
    }

    private static void either(ObjectNode part, String type, String pattern) {
        part.putArray("type").add(type).add("string");
        part.put("pattern", pattern);
    }

    private static String answer(com.networknt.schema.Schema schema, String file) {
        try {
            JsonNode root = YAML.readTree(file);
            return line(schema.validate(root));
        } catch (JsonProcessingException unreadable) {
            return ("no YAML: " + unreadable.getOriginalMessage()).replaceAll("\\s+", " ");
        }
    }

    /** What is deepest in the file says most: of alternatives, those above it only say that none fits. */
    private static String line(List<Error> errors) {
        return errors.stream()
                .max(Comparator.comparingInt(error -> error.getInstanceLocation().getNameCount()))
                .map(error -> (error.getInstanceLocation() + ": " + error.getMessage()).replaceAll("\\s+", " "))
                .orElse("");
    }
}
