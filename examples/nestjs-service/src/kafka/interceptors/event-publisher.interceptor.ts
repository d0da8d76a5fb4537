import { CallHandler, ExecutionContext, Injectable, Logger, NestInterceptor } from "@nestjs/common";
import { Observable, from, mergeMap } from "rxjs";
import { eventsOfRequest } from "../decorators/publish-event.decorator";
import { OutgoingEvent } from "../events";
import { KafkaService } from "../kafka.service";

/** Publishes what the decorated methods of a request left, once the request has succeeded. */
@Injectable()
export class EventPublisherInterceptor implements NestInterceptor {
  private readonly logger = new Logger(EventPublisherInterceptor.name);

  constructor(private readonly kafkaService: KafkaService) {}

  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const events: OutgoingEvent[] = [];
    const handled = new Observable((subscriber) =>
      eventsOfRequest.run(events, () => next.handle().subscribe(subscriber)),
    );
    return handled.pipe(mergeMap((result) => from(this.publish(events).then(() => result))));
  }

  /** The state is committed already: an event that Kafka does not take is lost, as the seed has it. */
  private async publish(events: OutgoingEvent[]): Promise<void> {
    try {
      for (const { topic, key, envelope } of events) {
        await this.kafkaService.publishEvent(topic, key, envelope);
      }
    } catch (error) {
      this.logger.error("event lost", error);
    }
  }
}
