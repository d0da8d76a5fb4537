//! Mails: into the folder, to a server that behaves and to one that does not; exactly one per notification.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use contracts::recruitment::ApplicationStatus;
use contracts::user::UserDeleted;
use eventkit::RecipientType::{Candidate, Employee};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::samples::{created, email, reviewed};
use crate::support::{House, TRACE};

/// How the server of these tests treats a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Takes,
    /// Answers the recipient with this code.
    Refuses(u16),
    /// Drops the connection in the middle of the text.
    Dies,
    /// Answers with 250 and then drops the connection without saying goodbye.
    TakesAndDies,
}

/// A small SMTP server; each conversation that names a recipient takes the next mood, and the last one stays.
#[derive(Debug, Clone)]
struct Server {
    port: u16,
    moods: Arc<Mutex<VecDeque<Mood>>>,
    taken: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(moods: &[Mood]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self { port, moods: Arc::new(Mutex::new(moods.iter().copied().collect())), taken: Arc::default() };
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = accepting.clone();
                tokio::spawn(async move { server.talk(stream).await });
            }
        });
        server
    }

    fn mood(&self) -> Mood {
        let mut moods = self.moods.lock().unwrap();
        if moods.len() > 1 { moods.pop_front().unwrap() } else { moods[0] }
    }

    fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }

    async fn talk(&self, stream: TcpStream) -> Option<()> {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        let mut mood = Mood::Takes;
        write.write_all(b"220 test\r\n").await.ok()?;
        while let Some(line) = lines.next_line().await.ok()? {
            let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
            let reply = match verb.as_str() {
                "RCPT" => {
                    mood = self.mood();
                    match mood {
                        Mood::Refuses(code) => format!("{code} <somebody@example.com> no\r\n"),
                        _ => "250 ok\r\n".to_owned(),
                    }
                }
                "DATA" => {
                    write.write_all(b"354 go on\r\n").await.ok()?;
                    let mut mail = String::new();
                    while let Some(line) = lines.next_line().await.ok()?.filter(|line| line != ".") {
                        if mood == Mood::Dies {
                            return None;
                        }
                        mail.push_str(&line);
                        mail.push('\n');
                    }
                    self.taken.lock().unwrap().push(mail);
                    write.write_all(b"250 taken\r\n").await.ok()?;
                    if mood == Mood::TakesAndDies {
                        return None;
                    }
                    continue;
                }
                "QUIT" => {
                    write.write_all(b"221 bye\r\n").await.ok()?;
                    return None;
                }
                _ => "250 ok\r\n".to_owned(),
            };
            write.write_all(reply.as_bytes()).await.ok()?;
        }
        None
    }
}

async fn house(port: u16, tls: &str) -> House {
    let (port, tls) = (format!("container.smtp.port={port}"), format!("container.smtp.tls={tls}"));
    House::open(&["container.smtp.host=127.0.0.1", &port, &tls]).await
}

fn header<'a>(mail: &'a str, name: &str) -> &'a str {
    mail.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap()
}

#[tokio::test]
async fn a_mail_goes_to_the_server_once_with_a_stable_id() {
    let server = Server::start(&[Mood::Takes]).await;
    let house = house(server.port, "none").await;
    let id = house.notify(&email(Some("a@example.com")), Some((Employee, 42))).await;
    house.logged(id, "sent").await;
    for _ in 0..3 {
        house.notify_as(id, &email(Some("a@example.com")), Some((Employee, 42))).await;
    }
    house.through("container-mail", "notification-events", "notification-42").await;
    let taken = server.taken();
    assert_eq!(taken.len(), 1);
    assert_eq!(header(&taken[0], "Message-ID"), format!("<{id}@techleet.local>"));
    assert_eq!(header(&taken[0], "To"), "a@example.com");
    assert_eq!(header(&taken[0], "Subject"), "News");
    assert_eq!(header(&taken[0], "traceparent"), TRACE);
}

#[tokio::test]
async fn a_server_that_is_busy_gets_the_mail_later() {
    let server = Server::start(&[Mood::Refuses(451), Mood::Refuses(421), Mood::Takes]).await;
    let house = house(server.port, "none").await;
    let id = house.notify(&email(Some("a@example.com")), None).await;
    let row = house.logged(id, "sent").await;
    assert_eq!(row.get::<i64>("attempts").unwrap(), 3);
    assert_eq!(server.taken().len(), 1);
}

#[tokio::test]
async fn a_server_that_stays_busy_makes_a_dead_letter() {
    let server = Server::start(&[Mood::Refuses(450)]).await;
    let house = house(server.port, "none").await;
    let id = house.notify(&email(Some("a@example.com")), None).await;
    let letter = house.dead_letter(id).await;
    assert_eq!(letter.header("dlq-error-kind"), Some("transient"));
    assert_eq!(letter.header("dlq-attempts"), Some("3"));
    house.logged(id, "delayed").await;
}

#[tokio::test]
async fn a_mail_that_is_refused_is_a_dead_letter_at_once_and_its_address_is_in_no_reason() {
    let server = Server::start(&[Mood::Refuses(550)]).await;
    let house = house(server.port, "none").await;
    let id = house.notify(&email(Some("somebody@example.com")), None).await;
    let letter = house.dead_letter(id).await;
    assert_eq!(letter.header("dlq-error-kind"), Some("permanent"));
    assert_eq!(letter.header("dlq-attempts"), Some("1"));
    let reason: String = house.logged(id, "failed").await.get("reason").unwrap();
    assert_eq!(reason, "mail server answered 550");
    assert!(!letter.header("dlq-error").unwrap().contains('@'), "{letter:?}");
}

#[tokio::test]
async fn a_server_that_dies_in_the_middle_gets_the_mail_again() {
    let server = Server::start(&[Mood::Dies, Mood::Takes]).await;
    let house = house(server.port, "none").await;
    let id = house.notify(&email(Some("a@example.com")), None).await;
    house.logged(id, "sent").await;
    assert_eq!(server.taken().len(), 1);
}

#[tokio::test]
async fn a_mail_that_kills_every_conversation_is_given_up_in_the_end() {
    let server = Server::start(&[Mood::Dies]).await;
    let house = house(server.port, "none").await;
    let id = house.notify(&email(Some("a@example.com")), None).await;
    assert_eq!(house.dead_letter(id).await.header("dlq-attempts"), Some("3"));
}

#[tokio::test]
async fn a_mail_that_was_taken_is_not_sent_again_because_the_goodbye_failed() {
    let server = Server::start(&[Mood::TakesAndDies]).await;
    let house = house(server.port, "none").await;
    let id = house.notify(&email(Some("a@example.com")), None).await;
    house.logged(id, "sent").await;
    house.through("container-mail", "notification-events", "notification-administrators").await;
    assert_eq!(server.taken().len(), 1);
}

#[tokio::test]
async fn a_server_that_is_away_is_waited_for_however_long() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let house = house(port, "none").await;
    let id = house.notify(&email(Some("a@example.com")), None).await;
    // More often than attempts are allowed for a fault of the mail's own.
    eventkit::testing::eventually("many tries", async || {
        let row = house.logged(id, "delayed").await;
        (row.get::<i64>("attempts").unwrap() > 5).then_some(())
    })
    .await;
    assert!(house.transport.records("notification-events.dlq").is_empty());
}

#[tokio::test]
async fn nothing_is_said_to_a_server_that_does_not_offer_tls_where_it_must() {
    let server = Server::start(&[Mood::Takes]).await;
    let house = house(server.port, "starttls").await;
    let id = house.notify(&email(Some("a@example.com")), None).await;
    house.logged(id, "delayed").await;
    assert!(server.taken().is_empty());
}

#[tokio::test]
async fn an_address_that_the_event_lacks_is_that_of_the_directory() {
    let house = House::open(&[]).await;
    house.tell(&created(42, None)).await;
    house.tell(&reviewed(7, ApplicationStatus::Screening)).await;
    house.tell(&created(43, None)).await;
    house.tell(&UserDeleted { employee_id: 43, department_id: None }).await;
    house.through("container-directory", "user-events", "user-42").await;
    house.through("container-directory", "user-events", "user-43").await;
    house.through("container-directory", "recruitment-events", "application-70").await;
    for (recipient, address) in [((Employee, 42), "e42@example.com"), ((Candidate, 7), "c7@example.com")] {
        let id = house.notify(&email(None), Some(recipient)).await;
        house.logged(id, "sent").await;
        let mail = std::fs::read_to_string(house.mailbox().join(format!("{id}.eml"))).unwrap();
        assert_eq!(header(&mail, "To"), address);
    }
    let gone = house.notify(&email(None), Some((Employee, 43))).await;
    house.logged(gone, "skipped").await;
    let unknown = house.notify(&email(None), Some((Employee, 99))).await;
    let letter = house.dead_letter(unknown).await;
    assert_eq!(letter.header("dlq-error-kind"), Some("transient"));
    assert!(letter.header("dlq-error").unwrap().contains("employee 99 is not known yet"), "{letter:?}");
    let nobody = house.notify(&email(None), None).await;
    assert_eq!(house.dead_letter(nobody).await.header("dlq-error-kind"), Some("permanent"));
}

#[tokio::test]
async fn a_mail_without_its_template_or_with_no_address_is_refused() {
    let house = House::open(&[]).await;
    let mut unknown = email(Some("a@example.com"));
    unknown.template = "no-such".to_owned();
    for event in [unknown, email(Some("no address"))] {
        let id = house.notify(&event, None).await;
        assert_eq!(house.dead_letter(id).await.header("dlq-error-kind"), Some("permanent"));
    }
}
