import { OutgoingEvent } from "../kafka/events";

export interface NewUser {
  firstName: string;
  lastName: string;
  email: string;
}

export interface User extends NewUser {
  employeeId: number;
}

export interface Department {
  departmentId: number;
  name: string;
}

export interface StoredEvent {
  id: number;
  event: OutgoingEvent;
}

/** The address is taken. */
export class EmailTaken extends Error {}

/** The service's own database; as a class, so that Nest can inject it. */
export abstract class Storage {
  /** Adds a user and, in the same transaction, the event that `announce` makes of it. Fails with EmailTaken. */
  abstract addUser(user: NewUser, announce?: (user: User) => OutgoingEvent): Promise<User>;
  abstract user(employeeId: number): Promise<User | undefined>;
  abstract putDepartment(department: Department): Promise<void>;
  abstract departments(): Promise<Department[]>;
  /** The oldest events of the outbox. */
  abstract outbox(limit: number): Promise<StoredEvent[]>;
  abstract removeFromOutbox(ids: number[]): Promise<void>;
}
