// KafkaJS 2.2, which speaks old versions of the protocol.
'use strict'

const { readFileSync } = require('node:fs')

const zstd = require('@bokuweb/zstd-wasm')
const lz4 = require('lz4-napi')
const snappy = require('kafkajs-snappy')
const {
  CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, PartitionAssigners, logLevel,
} = require('kafkajs')
const { add, unique, eventually, equal, refusal, main } = require('./cases')

CompressionCodecs[CompressionTypes.Snappy] = snappy
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async encoder => lz4.compressFrame(encoder.buffer),
  decompress: async buffer => lz4.decompressFrame(buffer),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => Buffer.from(zstd.compress(encoder.buffer)),
  decompress: async buffer => Buffer.from(zstd.decompress(buffer)),
})

const kafka = (address, clientId = 'somebody') =>
  new Kafka({ clientId, brokers: [address], logLevel: logLevel.NOTHING, retry: { retries: 5 } })

async function withAdmin(address, body) {
  const admin = kafka(address).admin()
  await admin.connect()
  try {
    return await body(admin)
  } finally {
    await admin.disconnect()
  }
}

async function withProducer(address, body, config = {}) {
  const producer = kafka(address).producer(config)
  await producer.connect()
  try {
    return await body(producer)
  } finally {
    await producer.disconnect()
  }
}

/** A topic of its own. */
async function newTopic(address, numPartitions = 1, configEntries = []) {
  const topic = unique('kafkajs')
  await withAdmin(address, admin => admin.createTopics({ topics: [{ topic, numPartitions, configEntries }] }))
  return topic
}

const produce = (address, topic, values, options = {}) =>
  withProducer(address, producer =>
    producer.send({ topic, messages: values.map(value => ({ value, partition: 0 })), ...options }))

/** A member of a group that reads by itself and knows what it holds. */
async function member(address, topic, { groupId = unique('group'), ...config } = {}) {
  const consumer = kafka(address).consumer({ groupId, rebalanceTimeout: 10000, ...config })
  const one = { consumer, groupId, held: [], messages: [], values: () => one.messages.map(text) }
  consumer.on(consumer.events.GROUP_JOIN, event => { one.held = event.payload.memberAssignment[topic] || [] })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({ eachMessage: async ({ partition, message }) => { one.messages.push({ ...message, partition }) } })
  one.leave = () => consumer.disconnect()
  return one
}

const text = message => message.value && message.value.toString()

/** The records of a topic, so many of them. */
async function read(address, topic, count, config = {}) {
  const one = await member(address, topic, config)
  try {
    await eventually(`${count} records`, () => one.messages.length >= count)
    return one.messages
  } finally {
    await one.leave()
  }
}

const values = async (...wanted) => (await read(...wanted)).map(text)

add('a_topic_is_created_described_and_deleted', address => withAdmin(address, async admin => {
  const topic = await newTopic(address, 3)
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  equal(topics[0].partitions.map(one => [one.partitionId, one.leader]).sort(), [[0, 1], [1, 1], [2, 1]])
  await admin.deleteTopics({ topics: [topic] })
  await eventually('its end', async () => !(await admin.listTopics()).includes(topic))
}))

add('a_topic_without_numbers_gets_the_brokers', address => withAdmin(address, async admin => {
  const topic = unique('kafkajs')
  equal(await admin.createTopics({ topics: [{ topic }] }), true)
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  equal(topics[0].partitions.length, 3)
  equal(await admin.createTopics({ topics: [{ topic }] }), false)
}))

add('what_cannot_be_created_is_refused', address => withAdmin(address, async admin => {
  const create = topic => refusal(admin.createTopics({ topics: [{ topic: unique('t'), ...topic }] }))
  equal(await create({ topic: 'no/such' }), 'INVALID_TOPIC_EXCEPTION')
  equal(await create({ numPartitions: 0 }), 'INVALID_PARTITIONS')
  equal(await create({ replicationFactor: 3 }), 'INVALID_REPLICATION_FACTOR')
  equal(await create({ configEntries: [{ name: 'retention.ms', value: 'soon' }] }), 'INVALID_CONFIG')
}))

add('partitions_are_added', address => withAdmin(address, async admin => {
  const topic = await newTopic(address)
  await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] })
  await eventually('three', async () =>
    (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length === 3)
}))

add('the_cluster_is_described', address => withAdmin(address, async admin => {
  const cluster = await admin.describeCluster()
  equal(cluster.brokers.map(one => `${one.host}:${one.port}`), [address])
  equal([cluster.controller, cluster.clusterId.length], [1, 22])
}))

add('configurations_are_described_and_changed', address => withAdmin(address, async admin => {
  const name = await newTopic(address, 1, [{ name: 'retention.ms', value: '1234567' }])
  const type = ConfigResourceTypes.TOPIC
  const describe = async () => {
    const { resources } = await admin.describeConfigs({ resources: [{ type, name }], includeSynonyms: false })
    return Object.fromEntries(resources[0].configEntries.map(one => [one.configName, one]))
  }
  equal((await describe())['retention.ms'].configValue, '1234567')
  equal((await describe())['cleanup.policy'].configValue, 'delete')
  const configEntries = [{ name: 'segment.ms', value: '60000' }]
  await admin.alterConfigs({ validateOnly: false, resources: [{ type, name, configEntries }] })
  await eventually('the change', async () => (await describe())['segment.ms'].configValue === '60000')
  equal((await describe())['retention.ms'].configValue === '1234567', false)
}))

for (const [name, compression] of Object.entries(CompressionTypes)) {
  add(`records_compressed_with_${name.toLowerCase()}_come_back`, async address => {
    if (name === 'ZSTD') await zstd.init()
    const topic = await newTopic(address)
    const sent = Array.from({ length: 300 }, (_, number) => `record ${number} ${'x'.repeat(300)}`)
    await produce(address, topic, sent, { compression })
    equal(await values(address, topic, 300), sent)
  })
}

for (const acks of [0, 1, -1]) {
  add(`records_sent_with_acks_${acks === -1 ? 'all' : acks}_come_back`, async address => {
    const topic = await newTopic(address)
    await produce(address, topic, ['a', 'b'], { acks })
    equal(await values(address, topic, 2), ['a', 'b'])
  })
}

add('keys_headers_times_and_tombstones_are_kept', async address => {
  const topic = await newTopic(address)
  await withProducer(address, producer => producer.send({
    topic,
    messages: [
      { key: 'k', value: 'v', headers: { a: ['1', '2'], b: '' }, timestamp: '1700000000123' },
      { key: 'k', value: null },
    ],
  }))
  const [first, second] = await read(address, topic, 2)
  equal([first.key.toString(), text(first), first.timestamp], ['k', 'v', '1700000000123'])
  equal([first.headers.a.map(String), String(first.headers.b)], [['1', '2'], ''])
  equal([second.key.toString(), second.value], ['k', null])
})

add('a_large_record_comes_back_and_a_larger_one_is_refused', async address => {
  const topic = await newTopic(address, 1, [{ name: 'max.message.bytes', value: '2000000' }])
  await produce(address, topic, ['x'.repeat(1500000)])
  equal((await values(address, topic, 1))[0].length, 1500000)
  equal(await refusal(produce(address, topic, ['x'.repeat(3000000)])), 'MESSAGE_TOO_LARGE')
})

add('an_idempotent_producer_writes_every_record_once', async address => {
  const topic = await newTopic(address)
  const sent = Array.from({ length: 20 }, (_, number) => `v${number}`)
  await withProducer(address, async producer => {
    for (const value of sent) await producer.send({ topic, messages: [{ value }] })
  }, { idempotent: true, maxInFlightRequests: 1 })
  equal(await values(address, topic, 20), sent)
})

add('a_topic_comes_into_being_with_its_first_record', async address => {
  const topic = unique('kafkajs')
  await produce(address, topic, ['a'])
  equal(await values(address, topic, 1), ['a'])
})

add('a_committed_transaction_is_seen_and_an_aborted_one_is_not', async address => {
  const topic = await newTopic(address)
  const config = { transactionalId: unique('tx'), maxInFlightRequests: 1, idempotent: true }
  await withProducer(address, async producer => {
    for (const [value, end] of [['first', 'commit'], ['aborted', 'abort'], ['second', 'commit']]) {
      const transaction = await producer.transaction()
      await transaction.send({ topic, messages: [{ value }] })
      await transaction[end]()
    }
  }, config)
  equal(await values(address, topic, 2), ['first', 'second'])
  equal(await values(address, topic, 3, { readUncommitted: true }), ['first', 'aborted', 'second'])
})

add('offsets_are_committed_with_a_transaction', address => withAdmin(address, async admin => {
  const topic = await newTopic(address)
  const consumerGroupId = unique('group')
  const config = { transactionalId: unique('tx'), maxInFlightRequests: 1, idempotent: true }
  const committed = async () =>
    (await admin.fetchOffsets({ groupId: consumerGroupId, topics: [topic] }))[0].partitions[0].offset
  await withProducer(address, async producer => {
    for (const [end, expected] of [['abort', '-1'], ['commit', '5']]) {
      const transaction = await producer.transaction()
      const topics = [{ topic, partitions: [{ partition: 0, offset: '5' }] }]
      await transaction.sendOffsets({ consumerGroupId, topics })
      await transaction[end]()
      await eventually(`offset ${expected}`, async () => await committed() === expected)
    }
  }, config)
}))

add('offsets_are_told_by_end_and_by_time', address => withAdmin(address, async admin => {
  const topic = await newTopic(address)
  const messages = [0, 1, 2, 3, 4].map(number => ({ value: `v${number}`, timestamp: `${1700000000000 + number * 1000}` }))
  await withProducer(address, producer => producer.send({ topic, messages }))
  const [ends] = await admin.fetchTopicOffsets(topic)
  equal([ends.low, ends.high], ['0', '5'])
  const [found] = await admin.fetchTopicOffsetsByTimestamp(topic, 1700000002500)
  equal(found.offset, '3')
}))

add('a_reader_seeks', async address => {
  const topic = await newTopic(address)
  await produce(address, topic, ['0', '1', '2', '3'])
  const one = await member(address, topic)
  await eventually('all', () => one.messages.length === 4)
  one.consumer.seek({ topic, partition: 0, offset: '2' })
  await eventually('two more', () => one.messages.length >= 6)
  equal(one.values().slice(4, 6), ['2', '3'])
  await one.leave()
})

add('records_are_deleted_up_to_an_offset', address => withAdmin(address, async admin => {
  const topic = await newTopic(address)
  await produce(address, topic, ['0', '1', '2', '3'])
  // The client deletes only of topics that it knows already.
  await admin.fetchTopicOffsets(topic)
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '2' }] })
  equal(await values(address, topic, 2), ['2', '3'])
}))

add('two_members_share_partitions', async address => {
  const topic = await newTopic(address, 4)
  const config = { groupId: unique('group'), partitionAssigners: [PartitionAssigners.roundRobin] }
  const first = await member(address, topic, config)
  await eventually('all for the first', () => first.held.length === 4)
  const second = await member(address, topic, config)
  await eventually('two for each', () => first.held.length === 2 && second.held.length === 2)
  equal([...first.held, ...second.held].sort(), [0, 1, 2, 3])
  const messages = [0, 1, 2, 3].map(partition => ({ value: `v${partition}`, partition }))
  await withProducer(address, producer => producer.send({ topic, messages }))
  await eventually('each record once', () => [...first.values(), ...second.values()].sort().join() === 'v0,v1,v2,v3')
  await second.leave()
  await eventually('all for the first again', () => first.held.length === 4)
  await first.leave()
})

add('a_group_goes_on_where_it_was', async address => {
  const topic = await newTopic(address)
  const groupId = unique('group')
  await produce(address, topic, ['a', 'b'])
  equal(await values(address, topic, 2, { groupId }), ['a', 'b'])
  await produce(address, topic, ['c'])
  equal(await values(address, topic, 1, { groupId }), ['c'])
})

add('groups_are_listed_described_and_deleted', address => withAdmin(address, async admin => {
  const topic = await newTopic(address)
  const one = await member(address, topic)
  const { groupId } = one
  const describe = async () => (await admin.describeGroups([groupId])).groups[0]
  await eventually('a stable group', async () => (await describe()).state === 'Stable')
  const told = await describe()
  equal(told.members.map(found => [found.clientId, found.clientHost]), [['somebody', '/127.0.0.1']])
  equal([told.protocolType, told.protocol], ['consumer', 'RoundRobinAssigner'])
  equal((await admin.listGroups()).groups.some(found => found.groupId === groupId), true)
  equal(await refusal(admin.deleteGroups([groupId])), 'NON_EMPTY_GROUP')
  await one.leave()
  await eventually('an empty group', async () => (await describe()).state === 'Empty')
  equal((await admin.deleteGroups([groupId])).map(found => found.errorCode), [0])
  equal(await refusal(admin.deleteGroups([groupId])), 'GROUP_ID_NOT_FOUND')
}))

add('offsets_of_a_group_are_set_and_reset', address => withAdmin(address, async admin => {
  const topic = await newTopic(address)
  const groupId = unique('group')
  await produce(address, topic, ['a', 'b'])
  await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '2' }] })
  const committed = async () => (await admin.fetchOffsets({ groupId, topics: [topic] }))[0].partitions[0].offset
  equal(await committed(), '2')
  await admin.resetOffsets({ groupId, topic, earliest: true })
  equal(['0', '-2'].includes(await committed()), true)
}))

const secured = (address, options) =>
  new Kafka({ clientId: 'secured', brokers: [address], logLevel: logLevel.NOTHING, retry: { retries: 2 }, ...options })

add('records_go_over_tls', async address => {
  const topic = await newTopic(address)
  const tls = secured(process.env.COMPAT_TLS, { ssl: { ca: [readFileSync(process.env.COMPAT_CA, 'utf8')] } })
  const producer = tls.producer()
  await producer.connect()
  await producer.send({ topic, messages: [{ value: 'secret', partition: 0 }] })
  await producer.disconnect()
  const offsets = await withAdmin(address, admin => admin.fetchTopicOffsets(topic))
  equal(offsets[0].high, '1')
})

add('a_client_is_let_in_by_the_certificate_that_it_shows', async address => {
  const ssl = { ca: [readFileSync(process.env.COMPAT_CA, 'utf8')] }
  const shown = {
    cert: readFileSync(process.env.COMPAT_CLIENT_CERTIFICATE, 'utf8'),
    key: readFileSync(process.env.COMPAT_CLIENT_KEY, 'utf8'),
  }
  const admin = secured(process.env.COMPAT_MUTUAL, { ssl: { ...ssl, ...shown } }).admin()
  await admin.connect()
  const { brokers } = await admin.describeCluster().finally(() => admin.disconnect())
  equal(`${brokers[0].host}:${brokers[0].port}`, process.env.COMPAT_MUTUAL)
  await refusal(secured(process.env.COMPAT_MUTUAL, { ssl }).admin().connect())
})

add('a_user_logs_in_with_plain_and_not_with_another_password', async () => {
  const login = password => {
    const sasl = { mechanism: 'plain', username: 'plain', password }
    return secured(process.env.COMPAT_SASL, { sasl }).admin()
  }
  const admin = login('plain-secret')
  await admin.connect()
  equal(await admin.listTopics(), [])
  await admin.disconnect()
  equal(await refusal(login('wrong').connect()), 'SASL_AUTHENTICATION_FAILED')
})

main()
