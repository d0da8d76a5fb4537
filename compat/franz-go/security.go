// Logins, TLS and certificates.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

func init() {
	add("records_go_over_tls", overTLS)
	add("a_client_is_let_in_by_the_certificate_that_it_shows", byCertificate)
	add("a_user_logs_in_with_plain_and_not_with_another_password", byPassword)
}

// believing is TLS that knows the authority of the brokers, and shows a certificate if it is to.
func believing(shows bool) (kgo.Opt, error) {
	pem, err := os.ReadFile(os.Getenv("COMPAT_CA"))
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(pem)
	if shows {
		pair, err := tls.LoadX509KeyPair(os.Getenv("COMPAT_CLIENT_CERTIFICATE"), os.Getenv("COMPAT_CLIENT_KEY"))
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return kgo.DialTLSConfig(config), nil
}

func overTLS(ctx context.Context, address string) error {
	topic, err := newTopic(ctx, address, 1)
	if err != nil {
		return err
	}
	secure, err := believing(false)
	if err != nil {
		return err
	}
	return first(
		produce(ctx, os.Getenv("COMPAT_TLS"), topic, []string{"secret"}, secure),
		expect(ctx, os.Getenv("COMPAT_TLS"), topic, []string{"secret"}, secure),
	)
}

// told is the address that a broker tells of itself.
func told(ctx context.Context, options ...kgo.Opt) (string, error) {
	client, err := kgo.NewClient(append(options, kgo.RequestRetries(1))...)
	if err != nil {
		return "", err
	}
	defer client.Close()
	metadata, err := kadm.NewClient(client).BrokerMetadata(ctx)
	if err != nil {
		return "", err
	}
	broker := metadata.Brokers[0]
	return fmt.Sprintf("%s:%d", broker.Host, broker.Port), nil
}

func byCertificate(ctx context.Context, _ string) error {
	mutual := os.Getenv("COMPAT_MUTUAL")
	shown, err := believing(true)
	if err != nil {
		return err
	}
	hidden, err := believing(false)
	if err != nil {
		return err
	}
	found, err := told(ctx, kgo.SeedBrokers(mutual), shown)
	_, refused := told(ctx, kgo.SeedBrokers(mutual), hidden)
	return first(err, equal(found, mutual), equal(refused != nil, true))
}

func byPassword(ctx context.Context, _ string) error {
	login := func(password string) (string, error) {
		who := plain.Auth{User: "plain", Pass: password}
		return told(ctx, kgo.SeedBrokers(os.Getenv("COMPAT_SASL")), kgo.SASL(who.AsMechanism()))
	}
	found, err := login("plain-secret")
	_, refused := login("wrong")
	return first(err, equal(found, os.Getenv("COMPAT_SASL")), equal(refused != nil, true))
}
