/** The Java client of Apache Kafka: `Program ADDRESS [TEXT]`. */

public final class Program {
    private Program() {}

    public static void main(String[] arguments) throws Exception {
        Cases cases = new Cases();
        AdminCases.declare(cases);
        RecordCases.declare(cases);
        TransactionCases.declare(cases);
        GroupCases.declare(cases);
        SecurityCases.declare(cases);
        cases.run(arguments);
    }
}
