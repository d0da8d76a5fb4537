import {
  BadRequestException,
  Body,
  ConflictException,
  Controller,
  Get,
  NotFoundException,
  Param,
  ParseIntPipe,
  Post,
} from "@nestjs/common";
import { EmailTaken, NewUser, User } from "../storage/storage";
import { UserService } from "./user.service";

@Controller("api/v1/users")
export class UsersController {
  constructor(private readonly users: UserService) {}

  @Post()
  async create(@Body() body: Partial<NewUser>): Promise<User> {
    const newUser = {
      firstName: text(body, "firstName"),
      lastName: text(body, "lastName"),
      email: text(body, "email"),
    };
    try {
      return await this.users.createUser(newUser);
    } catch (error) {
      throw error instanceof EmailTaken ? new ConflictException("the email is taken") : error;
    }
  }

  @Get(":id")
  async get(@Param("id", ParseIntPipe) id: number): Promise<User> {
    const user = await this.users.user(id);
    if (user === undefined) throw new NotFoundException();
    return user;
  }

  @Post(":id/notifications")
  async notify(@Param("id", ParseIntPipe) id: number, @Body() body: { message?: string }): Promise<void> {
    await this.users.sendNotification(id, text(body, "message"));
  }
}

function text<Name extends string>(body: Partial<Record<Name, string>>, name: Name): string {
  const value: unknown = body?.[name];
  if (typeof value !== "string" || value.trim() === "") throw new BadRequestException(`${name} must be a text`);
  return value;
}
