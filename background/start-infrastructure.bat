@echo off
rem Brings the infrastructure up with Docker, on Windows: all parts, on the usual ports and with the documented passwords.
rem It makes topics that are missing and mends the settings of the others; it gives none of them partitions.
rem   start-infrastructure.bat [start ^| stop ^| status ^| logs [part] ^| reset] [--kraft]
setlocal EnableExtensions

set "COMMAND=start"
set "PART="
set "COMPOSE_FILE_NAME=kafka.docker-compose.yaml"
set "PARTS=zookeeper kafka kafka-ui redis postgres user-service container"

:arguments
if "%~1"=="" goto ready
if "%~1"=="--kraft" (
    set "COMPOSE_FILE_NAME=kafka-kraft.docker-compose.yaml"
    set "PARTS=kafka kafka-ui redis postgres user-service container"
) else if "%~1"=="start" ( set "COMMAND=start"
) else if "%~1"=="stop" ( set "COMMAND=stop"
) else if "%~1"=="status" ( set "COMMAND=status"
) else if "%~1"=="logs" ( set "COMMAND=logs"
) else if "%~1"=="reset" ( set "COMMAND=reset"
) else if "%COMMAND%"=="logs" ( set "PART=%~1"
) else (
    echo unknown argument %~1 1>&2
    exit /b 1
)
shift
goto arguments

:ready
docker info >nul 2>&1
if errorlevel 1 (
    echo Docker does not answer; install or start it: winget install Docker.DockerDesktop 1>&2
    exit /b 1
)
set "COMPOSE=docker compose -f "%~dp0%COMPOSE_FILE_NAME%""
goto %COMMAND%

:stop
%COMPOSE% down
exit /b %errorlevel%

:status
%COMPOSE% ps
exit /b %errorlevel%

:logs
%COMPOSE% logs -f %PART%
exit /b %errorlevel%

:reset
%COMPOSE% down -v
exit /b %errorlevel%

:start
%COMPOSE% up -d --wait %PARTS%
if errorlevel 1 exit /b 1
for /f "usebackq eol=# tokens=1,2,3,4" %%a in ("%~dp0topics.list") do (
    call :topic %%a %%b "%%c" "%%d"
    if errorlevel 1 exit /b 1
)
echo.
echo TechLeet's infrastructure runs (docker).
echo.
echo   Kafka UI    http://localhost:8080
echo   Container   http://localhost:8181
echo   Kafka       localhost:9092 (internal: 29092)
if "%COMPOSE_FILE_NAME%"=="kafka.docker-compose.yaml" echo   ZooKeeper   localhost:2181
echo   Redis       localhost:6379 (password: techleet123)
echo   PostgreSQL  localhost:5432 (user and database: techleet)
exit /b 0

rem :topic NAME PARTITIONS SETTING SETTING: made if it is missing; its settings are mended in any case.
rem The settings come quoted, since an equals sign would part them.
:topic
docker exec techleet-kafka kafka-topics --bootstrap-server kafka:29092 --create --if-not-exists --topic %1 --partitions %2 --replication-factor 1
if errorlevel 1 exit /b 1
docker exec techleet-kafka kafka-configs --bootstrap-server kafka:29092 --alter --entity-type topics --entity-name %1 --add-config "%~3,%~4"
exit /b %errorlevel%
