package main

import (
	"context"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	codecs := []struct {
		name  string
		codec kgo.CompressionCodec
	}{
		{"none", kgo.NoCompression()}, {"gzip", kgo.GzipCompression()}, {"lz4", kgo.Lz4Compression()},
		{"zstd", kgo.ZstdCompression()}, {"snappy", kgo.SnappyCompression()},
	}
	for _, codec := range codecs {
		add("records_compressed_with_"+codec.name+"_come_back", roundTrip(kgo.ProducerBatchCompression(codec.codec)))
	}
	add("records_sent_with_acks_0_come_back", roundTrip(kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite()))
	add("records_sent_with_acks_1_come_back", roundTrip(kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()))
	add("records_sent_with_acks_all_come_back", roundTrip(kgo.RequiredAcks(kgo.AllISRAcks()), kgo.DisableIdempotentWrite()))
	add("an_idempotent_producer_writes_every_record_once", roundTrip(kgo.ProducerBatchMaxBytes(1024)))
	add("keys_headers_times_and_tombstones_are_kept", wholeRecords)
	add("the_brokers_time_is_written_where_the_topic_says_so", appendTime)
	add("a_large_record_comes_back_and_a_larger_one_is_refused", largeRecords)
	add("reading_begins_at_a_time_and_at_an_offset", readFromTime)
	add("a_topic_comes_into_being_with_its_first_record", createdByProducing)
	add("a_committed_transaction_is_seen_and_an_aborted_one_is_not", transactions)
	add("a_newer_producer_fences_the_one_before", fencing)
	add("transactions_are_listed_and_described", withAdmin(describedTransactions))
}

func atSecond(second int64) time.Time {
	return time.UnixMilli(1_700_000_000_000 + second*1000)
}

func roundTrip(options ...kgo.Opt) body {
	return func(ctx context.Context, address string) error {
		topic, err := newTopic(ctx, address, 1)
		return first(
			err,
			produce(ctx, address, topic, numbers(300), options...),
			expect(ctx, address, topic, numbers(300)),
		)
	}
}

func wholeRecords(ctx context.Context, address string) error {
	topic, err := newTopic(ctx, address, 1)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.DefaultProduceTopic(topic))
	if err != nil {
		return err
	}
	defer client.Close()
	headers := []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "a", Value: nil}, {Key: "b", Value: []byte{}}}
	sent := kgo.Record{Key: []byte("k"), Value: []byte("v"), Headers: headers, Timestamp: atSecond(1)}
	tombstone := kgo.Record{Key: []byte("k"), Timestamp: atSecond(2)}
	if err := client.ProduceSync(ctx, &sent, &tombstone).FirstErr(); err != nil {
		return err
	}
	found, err := readFrom(ctx, address, topic, kgo.NewOffset().AtStart(), 2)
	if err != nil {
		return err
	}
	return first(
		equal(string(found[0].Key)+string(found[0].Value), "kv"),
		equal(found[0].Timestamp.UnixMilli(), atSecond(1).UnixMilli()),
		equal(len(found[0].Headers), 3),
		equal(found[0].Headers[1].Value == nil, true),
		equal(found[0].Headers[2].Value != nil, true),
		equal(found[1].Value == nil, true),
	)
}

func appendTime(ctx context.Context, address string) error {
	topic, err := newTopic(ctx, address, 1, "message.timestamp.type", "LogAppendTime")
	if err := first(err, produce(ctx, address, topic, []string{"v"})); err != nil {
		return err
	}
	found, err := readFrom(ctx, address, topic, kgo.NewOffset().AtStart(), 1)
	if err != nil {
		return err
	}
	return first(
		equal(found[0].Attrs.TimestampType(), int8(1)),
		equal(time.Since(found[0].Timestamp).Abs() < 10*time.Minute, true),
	)
}

func largeRecords(ctx context.Context, address string) error {
	topic, err := newTopic(ctx, address, 1, "max.message.bytes", "2000000")
	if err != nil {
		return err
	}
	options := []kgo.Opt{kgo.ProducerBatchMaxBytes(5_000_000), kgo.ProducerBatchCompression(kgo.NoCompression())}
	large := strings.Repeat("x", 1_500_000)
	return first(
		produce(ctx, address, topic, []string{large}, options...),
		expect(ctx, address, topic, []string{large}),
		isError(produce(ctx, address, topic, []string{large + large}, options...), kerr.MessageTooLarge),
	)
}

func readFromTime(ctx context.Context, address string) error {
	topic, err := newTopic(ctx, address, 1)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.DefaultProduceTopic(topic))
	if err != nil {
		return err
	}
	defer client.Close()
	for second, value := range numbers(5) {
		sent := kgo.Record{Value: []byte(value), Timestamp: atSecond(int64(second))}
		if err := client.ProduceSync(ctx, &sent).FirstErr(); err != nil {
			return err
		}
	}
	byTime, err := readFrom(ctx, address, topic, kgo.NewOffset().AfterMilli(atSecond(2).UnixMilli()+500), 1)
	if err != nil {
		return err
	}
	byOffset, err := readFrom(ctx, address, topic, kgo.NewOffset().At(1), 1)
	if err != nil {
		return err
	}
	return first(equal(byTime[0].Offset, int64(3)), equal(byOffset[0].Offset, int64(1)))
}

func createdByProducing(ctx context.Context, address string) error {
	topic := unique("franz")
	return first(
		produce(ctx, address, topic, []string{"a"}, kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(100)),
		expect(ctx, address, topic, []string{"a"}),
	)
}

func transactional(address, name string) (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(address), kgo.TransactionalID(name))
}

func transactions(ctx context.Context, address string) error {
	topic, err := newTopic(ctx, address, 1)
	if err != nil {
		return err
	}
	client, err := transactional(address, unique("tx"))
	if err != nil {
		return err
	}
	defer client.Close()
	ends := []struct {
		value string
		end   kgo.TransactionEndTry
	}{{"first", kgo.TryCommit}, {"aborted", kgo.TryAbort}, {"second", kgo.TryCommit}}
	for _, one := range ends {
		err := first(
			client.BeginTransaction(),
			client.ProduceSync(ctx, record(topic, one.value)).FirstErr(),
			client.EndTransaction(ctx, one.end),
		)
		if err != nil {
			return err
		}
	}
	committed := kgo.FetchIsolationLevel(kgo.ReadCommitted())
	return first(
		expect(ctx, address, topic, []string{"first", "second"}, committed),
		expect(ctx, address, topic, []string{"first", "aborted", "second"}),
	)
}

func fencing(ctx context.Context, address string) error {
	topic, err := newTopic(ctx, address, 1)
	if err != nil {
		return err
	}
	name := unique("tx")
	old, err := transactional(address, name)
	if err != nil {
		return err
	}
	defer old.Close()
	young, err := transactional(address, name)
	if err != nil {
		return err
	}
	defer young.Close()
	err = first(
		old.BeginTransaction(),
		old.ProduceSync(ctx, record(topic, "zombie")).FirstErr(),
		young.BeginTransaction(),
		young.ProduceSync(ctx, record(topic, "new")).FirstErr(),
		young.EndTransaction(ctx, kgo.TryCommit),
	)
	if err != nil {
		return err
	}
	refused := first(
		old.ProduceSync(ctx, record(topic, "zombie again")).FirstErr(),
		old.EndTransaction(ctx, kgo.TryCommit),
	)
	return first(
		equal(refused != nil, true),
		expect(ctx, address, topic, []string{"new"}, kgo.FetchIsolationLevel(kgo.ReadCommitted())),
	)
}

func describedTransactions(ctx context.Context, address string, admin *kadm.Client) error {
	topic, err := newTopic(ctx, address, 1)
	if err != nil {
		return err
	}
	name := unique("tx")
	client, err := transactional(address, name)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := first(client.BeginTransaction(), client.ProduceSync(ctx, record(topic, "v")).FirstErr()); err != nil {
		return err
	}
	told, err := admin.DescribeTransactions(ctx, name)
	if err := first(err, told[name].Err, equal(told[name].State, "Ongoing"), equal(told[name].Topics.Lookup(topic, 0), true)); err != nil {
		return err
	}
	if err := client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return err
	}
	return eventually(ctx, "the end", func() (bool, error) {
		listed, err := admin.ListTransactions(ctx, nil, nil)
		return listed[name].State == "CompleteCommit", err
	})
}
