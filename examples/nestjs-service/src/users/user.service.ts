import { Injectable } from "@nestjs/common";
import { EVENT_TYPES, KAFKA_TOPICS, PublishEvent } from "../kafka/decorators/publish-event.decorator";
import { KafkaService } from "../kafka/kafka.service";
import { SERVICE } from "../settings";
import { NewUser, Storage, User } from "../storage/storage";

/** As the seed has it: the state first, and the event when the request has succeeded. */
@Injectable()
export class UserService {
  constructor(
    protected readonly storage: Storage,
    private readonly kafkaService: KafkaService,
  ) {}

  @PublishEvent<User>({
    topic: KAFKA_TOPICS.USER_EVENTS,
    eventType: EVENT_TYPES.USER_CREATED,
    keyExtractor: (result) => `user-${result.employeeId}`,
    dataExtractor: (result) => ({
      employeeId: result.employeeId,
      email: result.email,
      firstName: result.firstName,
      lastName: result.lastName,
    }),
  })
  async createUser(userData: NewUser): Promise<User> {
    return this.storage.addUser(userData);
  }

  user(employeeId: number): Promise<User | undefined> {
    return this.storage.user(employeeId);
  }

  async sendNotification(userId: number, message: string): Promise<void> {
    await this.kafkaService.publishEvent(KAFKA_TOPICS.NOTIFICATION_EVENTS, `notification-${userId}`, {
      eventType: EVENT_TYPES.EMAIL_NOTIFICATION,
      recipientId: userId,
      data: { subject: "Important Update", template: "user-notification", variables: { message } },
      timestamp: new Date().toISOString(),
      service: SERVICE,
    });
  }
}
