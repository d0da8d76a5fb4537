import { Global, Module } from "@nestjs/common";
import { EventPublisherInterceptor } from "./interceptors/event-publisher.interceptor";
import { KafkaService } from "./kafka.service";
import { OutboxRelay } from "./outbox.relay";

@Global()
@Module({
  providers: [KafkaService, OutboxRelay, EventPublisherInterceptor],
  exports: [KafkaService, EventPublisherInterceptor],
})
export class KafkaModule {}
