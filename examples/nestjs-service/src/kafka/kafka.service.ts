import { Injectable, OnApplicationBootstrap, OnApplicationShutdown } from "@nestjs/common";
import { Consumer, Kafka, Partitioners, logLevel } from "kafkajs";
import { settings } from "../settings";
import { EventEnvelope, OutgoingEvent } from "./events";

export type EventHandler = (envelope: EventEnvelope) => Promise<void>;

@Injectable()
export class KafkaService implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly kafka = new Kafka({
    clientId: settings.clientId,
    brokers: settings.brokers,
    logLevel: logLevel.ERROR,
  });
  // KafkaJS 2's default, named so that it does not warn: it hashes as the Java client does.
  private readonly producer = this.kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
  private readonly handlers = new Map<string, EventHandler>();
  private readonly topics = new Set<string>();
  private consumer?: Consumer;

  /** To be called before the application starts. */
  on(topic: string, eventType: string, handler: EventHandler): void {
    this.topics.add(topic);
    this.handlers.set(eventType, handler);
  }

  async publishEvent(topic: string, key: string, envelope: EventEnvelope): Promise<void> {
    await this.publishAll([{ topic, key, envelope }]);
  }

  /** Returns when all replicas have them. */
  async publishAll(events: OutgoingEvent[]): Promise<void> {
    const topics = [...new Set(events.map((event) => event.topic))];
    const messages = (topic: string) =>
      events
        .filter((event) => event.topic === topic)
        .map(({ key, envelope }) => ({ key, value: JSON.stringify(envelope) }));
    await this.producer.sendBatch({
      acks: -1,
      topicMessages: topics.map((topic) => ({ topic, messages: messages(topic) })),
    });
  }

  async onApplicationBootstrap(): Promise<void> {
    await this.producer.connect();
    if (this.topics.size === 0) return;
    this.consumer = this.kafka.consumer({ groupId: settings.groupId });
    await this.consumer.connect();
    await this.consumer.subscribe({ topics: [...this.topics], fromBeginning: true });
    await this.consumer.run({
      eachMessage: async ({ message }) => {
        if (message.value === null) return;
        const envelope = JSON.parse(message.value.toString()) as EventEnvelope;
        await this.handlers.get(envelope.eventType)?.(envelope);
      },
    });
  }

  async onApplicationShutdown(): Promise<void> {
    await this.consumer?.disconnect();
    await this.producer.disconnect();
  }
}
