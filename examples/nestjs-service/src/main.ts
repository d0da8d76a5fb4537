import "reflect-metadata";
import { NestFactory } from "@nestjs/core";
import { AppModule } from "./app.module";
import { EventPublisherInterceptor } from "./kafka/interceptors/event-publisher.interceptor";

/** KafkaJS may wait for ever while it disconnects; what has to outlive the process is in the database by then. */
const STOP_MAX_MS = 15_000;

async function bootstrap() {
  const app = await NestFactory.create(AppModule, { logger: ["error", "warn"] });
  app.useGlobalInterceptors(app.get(EventPublisherInterceptor));
  app.enableShutdownHooks();
  process.once("SIGTERM", () => setTimeout(() => process.exit(), STOP_MAX_MS).unref());
  await app.listen(process.env.PORT ?? 3001, "127.0.0.1");
  console.log(`user-service ${await app.getUrl()}`);
}

void bootstrap();
