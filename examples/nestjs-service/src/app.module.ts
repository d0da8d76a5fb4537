import { Module } from "@nestjs/common";
import { DepartmentsModule } from "./departments/departments.module";
import { KafkaModule } from "./kafka/kafka.module";
import { StorageModule } from "./storage/storage.module";
import { UsersModule } from "./users/users.module";

@Module({ imports: [StorageModule, KafkaModule, UsersModule, DepartmentsModule] })
export class AppModule {}
