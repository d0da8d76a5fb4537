/** Logins, TLS, users, access rules and quotas. */

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialDeletion;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AccessControlEntryFilter;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.errors.ClusterAuthorizationException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.ResourceNotFoundException;
import org.apache.kafka.common.errors.SaslAuthenticationException;
import org.apache.kafka.common.errors.SslAuthenticationException;
import org.apache.kafka.common.errors.TopicAuthorizationException;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

final class SecurityCases {
    private static final String SASL = System.getenv("COMPAT_SASL");
    private static final String TLS = System.getenv("COMPAT_TLS");
    private static final String CA = System.getenv("COMPAT_CA");
    private static final String PASSWORD = "correct horse";

    private SecurityCases() {}

    static void declare(Cases cases) {
        for (ScramMechanism mechanism : List.of(ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)) {
            cases.add("a_user_logs_in_with_" + mechanism.name().toLowerCase(), address -> logsIn(address, mechanism));
        }
        cases.add("a_wrong_password_is_not_let_in", SecurityCases::wrongPassword);
        cases.add("records_go_over_tls_to_a_broker_that_is_known", SecurityCases::tls);
        cases.add("users_are_made_described_and_deleted", SecurityCases::users);
        cases.add("rules_are_made_described_and_deleted", SecurityCases::rules);
        cases.add("rules_decide_who_may_write", SecurityCases::decide);
        cases.add("quotas_are_set_described_and_deleted", SecurityCases::quotas);
        cases.add("quotas_that_cannot_be_are_refused", SecurityCases::refusedQuotas);
    }

    private static String[] login(String user, String password, ScramMechanism mechanism) {
        String module = "org.apache.kafka.common.security.scram.ScramLoginModule";
        String jaas = module + " required username=\"" + user + "\" password=\"" + password + "\";";
        String name = mechanism.mechanismName();
        return new String[] {
            "security.protocol", "SASL_PLAINTEXT", "sasl.mechanism", name, "sasl.jaas.config", jaas,
        };
    }

    private static String user(Admin admin, ScramMechanism... mechanisms) throws Exception {
        String user = Cases.unique("user");
        for (ScramMechanism mechanism : mechanisms) {
            ScramCredentialInfo info = new ScramCredentialInfo(mechanism, 4096);
            Cases.done(admin.alterUserScramCredentials(
                List.of(new UserScramCredentialUpsertion(user, info, PASSWORD))).all());
        }
        return user;
    }

    private static AclBinding rule(String user, String topic, AclOperation operation, AclPermissionType permission) {
        return new AclBinding(
            new ResourcePattern(ResourceType.TOPIC, topic, PatternType.LITERAL),
            new AccessControlEntry("User:" + user, "*", operation, permission));
    }

    private static void allow(Admin admin, String user, String topic, AclOperation operation) throws Exception {
        Cases.done(admin.createAcls(List.of(rule(user, topic, operation, AclPermissionType.ALLOW))).all());
    }

    private static boolean writes(String topic, String value, String... settings) throws Exception {
        try {
            Clients.produce(SASL, topic, List.of(value), settings);
            return true;
        } catch (TopicAuthorizationException | ClusterAuthorizationException | SaslAuthenticationException notYet) {
            // Whoever may write to no topic may not be an idempotent producer either.
            return false;
        }
    }

    private static void logsIn(String address, ScramMechanism mechanism) throws Exception {
        String topic = Clients.topic(address, 1);
        try (Admin admin = Clients.admin(address)) {
            String user = user(admin, mechanism);
            allow(admin, user, topic, AclOperation.WRITE);
            allow(admin, user, topic, AclOperation.READ);
            String[] login = login(user, PASSWORD, mechanism);
            Cases.eventually("leave to write", () -> writes(topic, "a", login));
            Cases.equal(Clients.values(SASL, topic, 1, login), List.of("a"));
        }
    }

    private static void wrongPassword(String address) throws Exception {
        try (Admin admin = Clients.admin(address)) {
            String user = user(admin, ScramMechanism.SCRAM_SHA_256);
            String[] login = login(user, "wrong", ScramMechanism.SCRAM_SHA_256);
            try (Admin stranger = Clients.admin(SASL, login)) {
                Throwable failure = Cases.failure(stranger.listTopics().names());
                Cases.holds(failure instanceof SaslAuthenticationException, failure);
            }
        }
    }

    private static void tls(String address) throws Exception {
        String topic = Clients.topic(address, 1);
        String[] known = {
            "security.protocol", "SSL", "ssl.truststore.type", "PEM", "ssl.truststore.location", CA,
        };
        Clients.produce(TLS, topic, List.of("secret"), known);
        Cases.equal(Clients.values(TLS, topic, 1, known), List.of("secret"));
        try (Admin stranger = Clients.admin(TLS, "security.protocol", "SSL")) {
            Throwable failure = Cases.failure(stranger.listTopics().names());
            Cases.holds(failure instanceof SslAuthenticationException, failure);
        }
    }

    private static Set<ScramMechanism> mechanisms(Admin admin, String user) throws Exception {
        try {
            return Cases.done(admin.describeUserScramCredentials(List.of(user)).description(user)).credentialInfos().stream()
                .map(ScramCredentialInfo::mechanism)
                .collect(Collectors.toSet());
        } catch (ResourceNotFoundException nobody) {
            return Set.of();
        }
    }

    private static void users(String address) throws Exception {
        ScramMechanism[] both = {ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512};
        try (Admin admin = Clients.admin(address)) {
            String user = user(admin, both);
            Cases.eventually("the user", () -> mechanisms(admin, user).equals(Set.of(both)));
            for (ScramMechanism mechanism : both) {
                Cases.done(admin.alterUserScramCredentials(
                    List.of(new UserScramCredentialDeletion(user, mechanism))).all());
                Cases.eventually("its end", () -> !mechanisms(admin, user).contains(mechanism));
            }
        }
    }

    private static void rules(String address) throws Exception {
        String topic = Cases.unique("topic");
        AclBinding read = rule("an", topic, AclOperation.READ, AclPermissionType.ALLOW);
        AclBinding write = rule("an", topic, AclOperation.WRITE, AclPermissionType.DENY);
        try (Admin admin = Clients.admin(address)) {
            Cases.done(admin.createAcls(List.of(read, write)).all());
            AclBindingFilter ofTopic = new AclBindingFilter(read.pattern().toFilter(), AccessControlEntryFilter.ANY);
            Cases.eventually("both", () -> Set.copyOf(Cases.done(admin.describeAcls(ofTopic).values())).equals(Set.of(read, write)));
            Collection<AclBinding> deleted = Cases.done(admin.deleteAcls(List.of(read.toFilter())).all());
            Cases.equal(List.copyOf(deleted), List.of(read));
            Cases.eventually("one", () -> List.copyOf(Cases.done(admin.describeAcls(ofTopic).values())).equals(List.of(write)));
        }
    }

    private static void decide(String address) throws Exception {
        String topic = Clients.topic(address, 1);
        try (Admin admin = Clients.admin(address)) {
            String user = user(admin, ScramMechanism.SCRAM_SHA_256);
            String[] login = login(user, PASSWORD, ScramMechanism.SCRAM_SHA_256);
            allow(admin, user, topic, AclOperation.DESCRIBE);
            Cases.eventually("the user", () -> !mechanisms(admin, user).isEmpty());
            Cases.holds(!writes(topic, "refused", login), "it was written");
            allow(admin, user, topic, AclOperation.WRITE);
            Cases.eventually("leave to write", () -> writes(topic, "written", login));
            Cases.equal(Clients.values(address, topic, 1), List.of("written"));
        }
    }

    private static Map<String, Double> quotas(Admin admin, ClientQuotaEntity entity, String user) throws Exception {
        ClientQuotaFilter filter = ClientQuotaFilter.contains(
            List.of(ClientQuotaFilterComponent.ofEntity(ClientQuotaEntity.USER, user)));
        return Cases.done(admin.describeClientQuotas(filter).entities()).getOrDefault(entity, Map.of());
    }

    private static void alter(Admin admin, ClientQuotaEntity entity, String key, Double value) throws Exception {
        Cases.done(admin.alterClientQuotas(List.of(
            new ClientQuotaAlteration(entity, List.of(new ClientQuotaAlteration.Op(key, value))))).all());
    }

    private static void quotas(String address) throws Exception {
        String user = Cases.unique("user");
        ClientQuotaEntity entity = new ClientQuotaEntity(
            Map.of(ClientQuotaEntity.USER, user, ClientQuotaEntity.CLIENT_ID, "some client"));
        try (Admin admin = Clients.admin(address)) {
            alter(admin, entity, "producer_byte_rate", 1048576.0);
            alter(admin, entity, "request_percentage", 150.5);
            Map<String, Double> both = Map.of("producer_byte_rate", 1048576.0, "request_percentage", 150.5);
            Cases.eventually("both", () -> quotas(admin, entity, user).equals(both));
            alter(admin, entity, "producer_byte_rate", null);
            Cases.eventually("one", () -> quotas(admin, entity, user).equals(Map.of("request_percentage", 150.5)));
            alter(admin, entity, "request_percentage", null);
            Cases.eventually("none", () -> quotas(admin, entity, user).isEmpty());
        }
    }

    private static void refusedQuotas(String address) throws Exception {
        ClientQuotaEntity entity = new ClientQuotaEntity(Map.of(ClientQuotaEntity.USER, Cases.unique("user")));
        try (Admin admin = Clients.admin(address)) {
            for (Map.Entry<String, Double> bad : Map.of("no_such_rate", 1.0, "producer_byte_rate", -1.0).entrySet()) {
                Throwable failure = Cases.failure(() -> {
                    alter(admin, entity, bad.getKey(), bad.getValue());
                    return null;
                });
                Cases.holds(failure instanceof InvalidRequestException, bad + ": " + failure);
            }
        }
    }
}
