package main

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	classic := map[string]kgo.GroupBalancer{
		"range": kgo.RangeBalancer(), "roundrobin": kgo.RoundRobinBalancer(),
		"sticky": kgo.StickyBalancer(), "cooperative_sticky": kgo.CooperativeStickyBalancer(),
	}
	for _, name := range []string{"range", "roundrobin", "sticky", "cooperative_sticky"} {
		add("classic_members_share_partitions_by_"+name, shared("classic", kgo.Balancers(classic[name])))
	}
	add("kip_848_members_share_partitions_by_range", shared("consumer", kgo.Balancers(kgo.RangeBalancer()), kgo.ServerSideBalancer()))
	add("kip_848_members_share_partitions_by_uniform", shared("consumer", kgo.Balancers(kgo.StickyBalancer()), kgo.ServerSideBalancer()))
	add("a_group_goes_on_where_it_was", goesOn)
	add("groups_are_listed_described_and_deleted", withAdmin(describedGroups))
	add("offsets_of_an_empty_group_are_changed_and_deleted", withAdmin(changedOffsets))
	add("offsets_are_committed_with_a_transaction", withAdmin(transactedOffsets))
}

// member polls by itself and knows what it holds.
type member struct {
	lock   sync.Mutex
	held   map[int32]bool
	values []string
	client *kgo.Client
	done   chan struct{}
}

func join(address, group, topic string, options ...kgo.Opt) (*member, error) {
	one := &member{held: map[int32]bool{}, done: make(chan struct{})}
	change := func(is bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			one.lock.Lock()
			defer one.lock.Unlock()
			for _, partition := range partitions[topic] {
				one.held[partition] = is
			}
		}
	}
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(address), kgo.ClientID("somebody"), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.OnPartitionsAssigned(change(true)),
		kgo.OnPartitionsRevoked(change(false)), kgo.OnPartitionsLost(change(false)),
	}, options...)...)
	if err != nil {
		return nil, err
	}
	one.client = client
	go one.run()
	return one, nil
}

func (one *member) run() {
	defer close(one.done)
	for {
		fetches := one.client.PollFetches(context.Background())
		if fetches.IsClientClosed() {
			return
		}
		one.lock.Lock()
		one.values = append(one.values, values(fetches.Records())...)
		one.lock.Unlock()
	}
}

func (one *member) leave() {
	one.client.Close()
	<-one.done
}

func (one *member) partitions() []int32 {
	one.lock.Lock()
	defer one.lock.Unlock()
	var held []int32
	for partition, is := range one.held {
		if is {
			held = append(held, partition)
		}
	}
	slices.Sort(held)
	return held
}

func (one *member) seen() []string {
	one.lock.Lock()
	defer one.lock.Unlock()
	return slices.Clone(one.values)
}

// isOfType is an error unless the group uses that protocol; the client falls back to the classic one by itself.
func isOfType(ctx context.Context, admin *kadm.Client, group, expected string) error {
	listed, err := admin.ListGroups(ctx)
	return first(err, equal(strings.ToLower(listed[group].GroupType), expected))
}

func shared(groupType string, options ...kgo.Opt) body {
	return func(ctx context.Context, address string) error {
		topic, err := newTopic(ctx, address, 4)
		if err != nil {
			return err
		}
		group, all := unique("group"), []int32{0, 1, 2, 3}
		one, err := join(address, group, topic, options...)
		if err != nil {
			return err
		}
		defer one.leave()
		err = eventually(ctx, "all for the first", func() (bool, error) {
			return slices.Equal(one.partitions(), all), nil
		})
		if err != nil {
			return err
		}
		if err := isOfType(ctx, kadm.NewClient(one.client), group, groupType); err != nil {
			return err
		}
		two, err := join(address, group, topic, options...)
		if err != nil {
			return err
		}
		defer two.client.Close()
		return first(
			eventually(ctx, "two for each", func() (bool, error) {
				both := append(one.partitions(), two.partitions()...)
				slices.Sort(both)
				return len(one.partitions()) == 2 && slices.Equal(both, all), nil
			}),
			produceToEach(ctx, address, topic, all),
			eventually(ctx, "each record once", func() (bool, error) {
				both := append(one.seen(), two.seen()...)
				slices.Sort(both)
				return slices.Equal(both, []string{"v0", "v1", "v2", "v3"}), nil
			}),
			func() error { two.leave(); return nil }(),
			eventually(ctx, "all for the first again", func() (bool, error) {
				return slices.Equal(one.partitions(), all), nil
			}),
		)
	}
}

func produceToEach(ctx context.Context, address, topic string, partitions []int32) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer client.Close()
	for _, partition := range partitions {
		sent := kgo.Record{Topic: topic, Partition: partition, Value: []byte{'v', byte('0' + partition)}}
		if err := client.ProduceSync(ctx, &sent).FirstErr(); err != nil {
			return err
		}
	}
	return nil
}

func goesOn(ctx context.Context, address string) error {
	topic, err := newTopic(ctx, address, 1)
	if err != nil {
		return err
	}
	group := unique("group")
	for _, value := range []string{"a", "b"} {
		if err := produce(ctx, address, topic, []string{value}); err != nil {
			return err
		}
		one, err := join(address, group, topic)
		if err != nil {
			return err
		}
		err = eventually(ctx, "the record "+value, func() (bool, error) {
			return slices.Equal(one.seen(), []string{value}), nil
		})
		err = first(err, one.client.CommitUncommittedOffsets(ctx))
		one.leave()
		if err != nil {
			return err
		}
	}
	return nil
}

func describedGroups(ctx context.Context, address string, admin *kadm.Client) error {
	topic, err := newTopic(ctx, address, 1)
	if err != nil {
		return err
	}
	group := unique("group")
	one, err := join(address, group, topic)
	if err != nil {
		return err
	}
	state := func() string {
		told, _ := admin.DescribeGroups(ctx, group)
		return told[group].State
	}
	err = eventually(ctx, "a stable group", func() (bool, error) { return state() == "Stable", nil })
	if err != nil {
		return err
	}
	told, err := admin.DescribeGroups(ctx, group)
	if err := first(err, equal(len(told[group].Members), 1)); err != nil {
		return err
	}
	found := told[group].Members[0]
	listed, err := admin.ListGroups(ctx, "Stable")
	_, isListed := listed[group]
	_, notEmpty := admin.DeleteGroup(ctx, group)
	one.leave()
	return first(
		err,
		equal(found.ClientID+found.ClientHost, "somebody/127.0.0.1"),
		equal(isListed, true),
		isError(notEmpty, kerr.NonEmptyGroup),
		eventually(ctx, "an empty group", func() (bool, error) { return state() == "Empty", nil }),
		deleted(ctx, admin, group),
		isError(deleted(ctx, admin, group), kerr.GroupIDNotFound),
	)
}

func deleted(ctx context.Context, admin *kadm.Client, group string) error {
	_, err := admin.DeleteGroup(ctx, group)
	return err
}

func changedOffsets(ctx context.Context, address string, admin *kadm.Client) error {
	topic, err := newTopic(ctx, address, 2)
	if err != nil {
		return err
	}
	group, offsets, second := unique("group"), kadm.Offsets{}, kadm.TopicsSet{}
	offsets.AddOffset(topic, 0, 7, -1)
	offsets.AddOffset(topic, 1, 9, -1)
	second.Add(topic, 1)
	if err := admin.CommitAllOffsets(ctx, group, offsets); err != nil {
		return err
	}
	told, err := admin.FetchOffsets(ctx, group)
	if err := first(err, equal([]int64{told[topic][0].At, told[topic][1].At}, []int64{7, 9})); err != nil {
		return err
	}
	gone, err := admin.DeleteOffsets(ctx, group, second)
	if err := first(err, gone[topic][1]); err != nil {
		return err
	}
	told, err = admin.FetchOffsets(ctx, group)
	return first(err, equal(len(told[topic]), 1))
}

func transactedOffsets(ctx context.Context, address string, admin *kadm.Client) error {
	source, err := newTopic(ctx, address, 1)
	if err != nil {
		return err
	}
	target, err := newTopic(ctx, address, 1)
	if err := first(err, produce(ctx, address, source, numbers(3))); err != nil {
		return err
	}
	group := unique("group")
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(address), kgo.TransactionalID(unique("tx")), kgo.ConsumerGroup(group), kgo.ConsumeTopics(source),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RequireStableFetchOffsets(),
	)
	if err != nil {
		return err
	}
	defer session.Close()
	if _, err := read(ctx, session.Client(), 3); err != nil {
		return err
	}
	if err := first(session.Begin(), session.ProduceSync(ctx, record(target, "6")).FirstErr()); err != nil {
		return err
	}
	committed, err := session.End(ctx, kgo.TryCommit)
	return first(
		err,
		equal(committed, true),
		expect(ctx, address, target, []string{"6"}, kgo.FetchIsolationLevel(kgo.ReadCommitted())),
		eventually(ctx, "the offset", func() (bool, error) {
			told, err := admin.FetchOffsets(ctx, group)
			return told[source][0].At == 3, err
		}),
	)
}
