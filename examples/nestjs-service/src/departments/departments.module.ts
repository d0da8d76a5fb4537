import { Controller, Get, Injectable, Module } from "@nestjs/common";
import { EVENT_TYPES, EventEnvelope, KAFKA_TOPICS } from "../kafka/events";
import { KafkaService } from "../kafka/kafka.service";
import { Department, Storage } from "../storage/storage";

/** Keeps the names of departments, which the company-service tells of; told twice it is the same name. */
@Injectable()
class DepartmentsConsumer {
  constructor(
    kafkaService: KafkaService,
    private readonly storage: Storage,
  ) {
    for (const eventType of [EVENT_TYPES.DEPARTMENT_CREATED, EVENT_TYPES.DEPARTMENT_UPDATED]) {
      kafkaService.on(KAFKA_TOPICS.COMPANY_EVENTS, eventType, (envelope) => this.keep(envelope));
    }
  }

  private async keep(envelope: EventEnvelope): Promise<void> {
    const { departmentId, name } = envelope.data as Department;
    await this.storage.putDepartment({ departmentId, name });
  }
}

@Controller("api/v1/departments")
class DepartmentsController {
  constructor(private readonly storage: Storage) {}

  @Get()
  list(): Promise<Department[]> {
    return this.storage.departments();
  }
}

@Module({ controllers: [DepartmentsController], providers: [DepartmentsConsumer] })
export class DepartmentsModule {}
