import { AsyncLocalStorage } from "node:async_hooks";
import { SERVICE } from "../../settings";
import { OutgoingEvent } from "../events";

export { EVENT_TYPES, KAFKA_TOPICS } from "../events";

export interface PublishEventOptions<Result> {
  topic: string;
  eventType: string;
  keyExtractor: (result: Result) => string;
  dataExtractor: (result: Result) => unknown;
}

/** The events of the request that is being handled; the interceptor opens it. */
export const eventsOfRequest = new AsyncLocalStorage<OutgoingEvent[]>();

/** When the method has succeeded, its event waits for the end of the request. */
export function PublishEvent<Result>(options: PublishEventOptions<Result>) {
  type Method = (...args: never[]) => Promise<Result>;
  return (_target: object, _name: string, descriptor: TypedPropertyDescriptor<Method>) => {
    const method = descriptor.value!;
    descriptor.value = async function (this: unknown, ...args: never[]) {
      const result = await method.apply(this, args);
      eventsOfRequest.getStore()?.push({
        topic: options.topic,
        key: options.keyExtractor(result),
        envelope: {
          eventType: options.eventType,
          data: options.dataExtractor(result),
          timestamp: new Date().toISOString(),
          service: SERVICE,
        },
      });
      return result;
    };
  };
}
