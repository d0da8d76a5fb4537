import "reflect-metadata";
import { NestFactory } from "@nestjs/core";
import { AppModule } from "./app.module";
import { EventPublisherInterceptor } from "./kafka/interceptors/event-publisher.interceptor";

async function bootstrap() {
  const app = await NestFactory.create(AppModule, { logger: ["error", "warn"] });
  app.useGlobalInterceptors(app.get(EventPublisherInterceptor));
  app.enableShutdownHooks();
  await app.listen(process.env.PORT ?? 3001, "127.0.0.1");
  console.log(`user-service ${await app.getUrl()}`);
}

void bootstrap();
