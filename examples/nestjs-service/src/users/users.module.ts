import { Module } from "@nestjs/common";
import { settings } from "../settings";
import { OutboxUserService } from "./outbox-user.service";
import { UserService } from "./user.service";
import { UsersController } from "./users.controller";

@Module({
  controllers: [UsersController],
  providers: [{ provide: UserService, useClass: settings.publish === "outbox" ? OutboxUserService : UserService }],
})
export class UsersModule {}
