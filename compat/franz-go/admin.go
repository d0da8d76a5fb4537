package main

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	add("a_topic_is_created_described_and_deleted", withAdmin(lifeOfATopic))
	add("what_cannot_be_created_is_refused", withAdmin(refusedTopics))
	add("a_topic_without_numbers_gets_the_brokers", withAdmin(defaultTopic))
	add("partitions_are_added_and_never_taken_away", withAdmin(morePartitions))
	add("the_cluster_is_described", withAdmin(describedCluster))
	add("configurations_are_set_deleted_appended_and_subtracted", withAdmin(alteredConfigs))
	add("records_are_deleted_up_to_an_offset", withAdmin(deletedRecords))
	add("offsets_are_listed_by_time_and_largest_time", withAdmin(listedOffsets))
	add("log_directories_show_sizes", withAdmin(logDirectories))
}

func lifeOfATopic(ctx context.Context, address string, admin *kadm.Client) error {
	topic, err := newTopic(ctx, address, 3)
	if err != nil {
		return err
	}
	topics, err := admin.ListTopics(ctx, topic)
	if err != nil {
		return err
	}
	told := topics[topic]
	if _, err := admin.DeleteTopic(ctx, topic); err != nil {
		return err
	}
	return first(
		equal(len(told.Partitions), 3),
		equal(told.Partitions[2].Leader, int32(1)),
		equal(told.ID == kadm.TopicID{}, false),
		eventually(ctx, "its end", func() (bool, error) {
			topics, err := admin.ListTopics(ctx)
			return err == nil && !topics.Has(topic), err
		}),
	)
}

func refusedTopics(ctx context.Context, address string, admin *kadm.Client) error {
	there, err := newTopic(ctx, address, 1)
	if err != nil {
		return err
	}
	soon := "soon"
	create := func(partitions int32, replicas int16, configs map[string]*string, topic string) error {
		_, err := admin.CreateTopic(ctx, partitions, replicas, configs, topic)
		return err
	}
	return first(
		isError(create(1, 1, nil, there), kerr.TopicAlreadyExists),
		isError(create(1, 1, nil, "no/such"), kerr.InvalidTopicException),
		isError(create(0, 1, nil, unique("t")), kerr.InvalidPartitions),
		isError(create(1, 3, nil, unique("t")), kerr.InvalidReplicationFactor),
		isError(create(1, 1, map[string]*string{"retention.ms": &soon}, unique("t")), kerr.InvalidConfig),
	)
}

func defaultTopic(ctx context.Context, _ string, admin *kadm.Client) error {
	made, err := admin.CreateTopic(ctx, -1, -1, nil, unique("franz"))
	return first(err, equal([]int{int(made.NumPartitions), int(made.ReplicationFactor)}, []int{3, 1}))
}

func morePartitions(ctx context.Context, address string, admin *kadm.Client) error {
	topic, err := newTopic(ctx, address, 1)
	if err != nil {
		return err
	}
	made, err := admin.UpdatePartitions(ctx, 3, topic)
	if err := first(err, made[topic].Err); err != nil {
		return err
	}
	fewer, err := admin.UpdatePartitions(ctx, 2, topic)
	return first(
		err,
		isError(fewer[topic].Err, kerr.InvalidPartitions),
		eventually(ctx, "three partitions", func() (bool, error) {
			topics, err := admin.ListTopics(ctx, topic)
			return len(topics[topic].Partitions) == 3, err
		}),
	)
}

func describedCluster(ctx context.Context, address string, admin *kadm.Client) error {
	told, err := admin.BrokerMetadata(ctx)
	if err != nil {
		return err
	}
	return first(
		equal(len(told.Brokers), 1),
		equal(fmt.Sprintf("%s:%d", told.Brokers[0].Host, told.Brokers[0].Port), address),
		equal(told.Controller, int32(1)),
		equal(len(told.Cluster), 22),
	)
}

func alteredConfigs(ctx context.Context, address string, admin *kadm.Client) error {
	topic, err := newTopic(ctx, address, 1, "retention.ms", "1234567")
	if err != nil {
		return err
	}
	is := func(key, value string) error {
		return eventually(ctx, key+"="+value, func() (bool, error) {
			told, err := admin.DescribeTopicConfigs(ctx, topic)
			if err != nil {
				return false, err
			}
			for _, config := range told[0].Configs {
				if config.Key == key {
					return config.MaybeValue() == value, nil
				}
			}
			return false, nil
		})
	}
	change := func(kind kadm.IncrementalOp, key, value string) error {
		changes := []kadm.AlterConfig{{Op: kind, Name: key, Value: &value}}
		told, err := admin.AlterTopicConfigs(ctx, changes, topic)
		if err != nil {
			return err
		}
		return told[0].Err
	}
	return first(
		is("retention.ms", "1234567"),
		change(kadm.AppendConfig, "cleanup.policy", "compact"),
		is("cleanup.policy", "delete,compact"),
		change(kadm.SubtractConfig, "cleanup.policy", "delete"),
		is("cleanup.policy", "compact"),
		change(kadm.SetConfig, "retention.ms", "1000"),
		is("retention.ms", "1000"),
		change(kadm.DeleteConfig, "retention.ms", ""),
		is("retention.ms", "604800000"),
		isError(change(kadm.SetConfig, "retention.ms", "soon"), kerr.InvalidConfig),
	)
}

func deletedRecords(ctx context.Context, address string, admin *kadm.Client) error {
	topic, err := newTopic(ctx, address, 1)
	if err := first(err, produce(ctx, address, topic, numbers(10))); err != nil {
		return err
	}
	remove := func(offset int64) (int64, error) {
		offsets := kadm.Offsets{}
		offsets.AddOffset(topic, 0, offset, -1)
		told, err := admin.DeleteRecords(ctx, offsets)
		return told[topic][0].LowWatermark, first(err, told[topic][0].Err)
	}
	low, err := remove(4)
	if err := first(err, equal(low, int64(4)), expect(ctx, address, topic, numbers(10)[4:])); err != nil {
		return err
	}
	_, err = remove(11)
	return isError(err, kerr.OffsetOutOfRange)
}

func listedOffsets(ctx context.Context, address string, admin *kadm.Client) error {
	topic, err := newTopic(ctx, address, 1)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.DefaultProduceTopic(topic))
	if err != nil {
		return err
	}
	defer client.Close()
	for _, second := range []int64{2, 9, 5} {
		record := kgo.Record{Value: []byte("v"), Timestamp: atSecond(second)}
		if err := client.ProduceSync(ctx, &record).FirstErr(); err != nil {
			return err
		}
	}
	offset := func(listed kadm.ListedOffsets, err error) int64 {
		if found, ok := listed.Lookup(topic, 0); ok && first(err, found.Err) == nil {
			return found.Offset
		}
		return -100
	}
	return equal([]int64{
		offset(admin.ListStartOffsets(ctx, topic)),
		offset(admin.ListEndOffsets(ctx, topic)),
		offset(admin.ListMaxTimestampOffsets(ctx, topic)),
		offset(admin.ListOffsetsAfterMilli(ctx, atSecond(3).UnixMilli(), topic)),
	}, []int64{0, 3, 1, 1})
}

func logDirectories(ctx context.Context, address string, admin *kadm.Client) error {
	topic, err := newTopic(ctx, address, 1)
	if err := first(err, produce(ctx, address, topic, []string{string(make([]byte, 10_000))}, kgo.ProducerBatchCompression(kgo.NoCompression()))); err != nil {
		return err
	}
	directories, err := admin.DescribeAllLogDirs(ctx, nil)
	if err != nil {
		return err
	}
	for _, found := range directories.Sorted() {
		if partition, ok := found.Topics.Lookup(topic, 0); ok {
			return equal(partition.Size > 10_000 && partition.Size < 20_000, true)
		}
	}
	return fmt.Errorf("the partition is in no directory")
}
