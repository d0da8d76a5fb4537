import { Injectable } from "@nestjs/common";
import { EVENT_TYPES, KAFKA_TOPICS, OutgoingEvent } from "../kafka/events";
import { SERVICE } from "../settings";
import { NewUser, User } from "../storage/storage";
import { UserService } from "./user.service";

/** The same with an outbox: state and event in one transaction, the relay publishes. */
@Injectable()
export class OutboxUserService extends UserService {
  override async createUser(userData: NewUser): Promise<User> {
    return this.storage.addUser(userData, userCreated);
  }
}

function userCreated({ employeeId, email, firstName, lastName }: User): OutgoingEvent {
  return {
    topic: KAFKA_TOPICS.USER_EVENTS,
    key: `user-${employeeId}`,
    envelope: {
      eventType: EVENT_TYPES.USER_CREATED,
      data: { employeeId, email, firstName, lastName },
      timestamp: new Date().toISOString(),
      service: SERVICE,
    },
  };
}
