import { Injectable, Logger, OnApplicationBootstrap, OnApplicationShutdown } from "@nestjs/common";
import { setTimeout as sleep } from "node:timers/promises";
import { settings } from "../settings";
import { Storage } from "../storage/storage";
import { KafkaService } from "./kafka.service";

const BATCH_MAX = 500;
const IDLE_MS = 20;
const FAILED_MS = 500;

/** Moves events from the outbox to Kafka, in the order in which they were stored, at least once. */
@Injectable()
export class OutboxRelay implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(OutboxRelay.name);
  private isStopping = false;
  private running: Promise<void> = Promise.resolve();

  constructor(
    private readonly storage: Storage,
    private readonly kafkaService: KafkaService,
  ) {}

  onApplicationBootstrap(): void {
    if (settings.publish === "outbox") this.running = this.run();
  }

  async onApplicationShutdown(): Promise<void> {
    this.isStopping = true;
    await this.running;
  }

  private async run(): Promise<void> {
    while (!this.isStopping) {
      try {
        if ((await this.publishSome()) === 0) await sleep(IDLE_MS);
      } catch (error) {
        this.logger.error("events wait in the outbox", error);
        await sleep(FAILED_MS);
      }
    }
  }

  private async publishSome(): Promise<number> {
    const stored = await this.storage.outbox(BATCH_MAX);
    if (stored.length > 0) {
      await this.kafkaService.publishAll(stored.map(({ event }) => event));
      await this.storage.removeFromOutbox(stored.map(({ id }) => id));
    }
    return stored.length;
  }
}
