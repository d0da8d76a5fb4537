package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// withAdmin gives a case an admin client.
func withAdmin(run func(ctx context.Context, address string, admin *kadm.Client) error) body {
	return func(ctx context.Context, address string) error {
		client, err := kgo.NewClient(kgo.SeedBrokers(address))
		if err != nil {
			return err
		}
		defer client.Close()
		return run(ctx, address, kadm.NewClient(client))
	}
}

// newTopic makes a topic of its own.
func newTopic(ctx context.Context, address string, partitions int32, configs ...string) (string, error) {
	topic := unique("franz")
	set := map[string]*string{}
	for at := 0; at < len(configs); at += 2 {
		set[configs[at]] = &configs[at+1]
	}
	make := withAdmin(func(ctx context.Context, _ string, admin *kadm.Client) error {
		if _, err := admin.CreateTopic(ctx, partitions, 1, set, topic); err != nil {
			return err
		}
		return eventually(ctx, "the topic", func() (bool, error) {
			topics, err := admin.ListTopics(ctx, topic)
			return err == nil && topics[topic].Err == nil, err
		})
	})
	return topic, make(ctx, address)
}

func record(topic, value string) *kgo.Record {
	return &kgo.Record{Topic: topic, Value: []byte(value)}
}

// produce sends a record a value to partition 0.
func produce(ctx context.Context, address, topic string, values []string, options ...kgo.Opt) error {
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(address), kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}, options...)...)
	if err != nil {
		return err
	}
	defer client.Close()
	var records []*kgo.Record
	for _, value := range values {
		records = append(records, record(topic, value))
	}
	return client.ProduceSync(ctx, records...).FirstErr()
}

// read polls until there are so many records.
func read(ctx context.Context, client *kgo.Client, count int) ([]*kgo.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, waitMax)
	defer cancel()
	var records []*kgo.Record
	for len(records) < count {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("%d of %d records: %w", len(records), count, err)
		}
		records = append(records, fetches.Records()...)
	}
	return records, nil
}

// readFrom reads partition 0 from an offset on.
func readFrom(ctx context.Context, address, topic string, at kgo.Offset, count int, options ...kgo.Opt) ([]*kgo.Record, error) {
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(address),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: at}}),
	}, options...)...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return read(ctx, client, count)
}

func values(records []*kgo.Record) []string {
	var values []string
	for _, record := range records {
		values = append(values, string(record.Value))
	}
	return values
}

// expect reads partition 0 from its start and compares it.
func expect(ctx context.Context, address, topic string, expected []string, options ...kgo.Opt) error {
	found, err := readFrom(ctx, address, topic, kgo.NewOffset().AtStart(), len(expected), options...)
	if err != nil {
		return err
	}
	return equal(values(found), expected)
}

func numbers(count int) []string {
	var values []string
	for number := range count {
		values = append(values, fmt.Sprintf("value %d of a few words that repeat and repeat and repeat", number))
	}
	return values
}

// isError is an error unless the error that was found is the expected one.
func isError(found, expected error) error {
	if errors.Is(found, expected) {
		return nil
	}
	return fmt.Errorf("found %v, expected %v", found, expected)
}
