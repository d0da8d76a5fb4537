/** The envelope on the wire: the seed's five fields. */
export interface EventEnvelope {
  eventType: string;
  recipientId?: number;
  data: unknown;
  timestamp: string;
  service: string;
}

/** An event with where it goes. */
export interface OutgoingEvent {
  topic: string;
  key: string;
  envelope: EventEnvelope;
}

export const KAFKA_TOPICS = {
  USER_EVENTS: "user-events",
  COMPANY_EVENTS: "company-events",
  RECRUITMENT_EVENTS: "recruitment-events",
  NOTIFICATION_EVENTS: "notification-events",
  AUDIT_EVENTS: "audit-events",
} as const;

export const EVENT_TYPES = {
  USER_CREATED: "user.created",
  DEPARTMENT_CREATED: "department.created",
  DEPARTMENT_UPDATED: "department.updated",
  EMAIL_NOTIFICATION: "notification.email",
} as const;
