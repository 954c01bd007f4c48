//! The socket of a session.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use futures_util::{SinkExt, StreamExt};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, interval, timeout};

use super::Shared;
use crate::learning::{Fault, Refusal};
use crate::protocol::{Answer, LONGEST_MESSAGE, Said};
use crate::session::{Audience, Seat, Sent};

/// How long a page may take for its first word.
const FIRST_WORD: Duration = Duration::from_secs(10);
/// How often a page is asked whether it is still there, and when it is taken for lost.
const ASKED_EVERY: Duration = Duration::from_secs(2);
const SILENCE: Duration = Duration::from_secs(7);
/// Messages that cannot be read before the socket is closed.
const MOST_MISTAKES: usize = 20;

/// Accepts a page.
pub async fn drive(upgrade: WebSocketUpgrade, State(shared): State<Arc<Shared>>) -> Response {
    upgrade
        .max_message_size(LONGEST_MESSAGE)
        .max_frame_size(LONGEST_MESSAGE)
        .on_upgrade(move |socket| async move {
            let mut line = Line { socket };
            if let Some(seat) = line.seat(&shared).await {
                line.talk(seat).await;
            }
        })
}

struct Line {
    socket: WebSocket,
}

impl Line {
    /// What the first word asks for; refusals are told, and the next word is tried.
    async fn seat(&mut self, shared: &Arc<Shared>) -> Option<Seat> {
        for _ in 0..MOST_MISTAKES {
            let message = timeout(FIRST_WORD, self.socket.next()).await.ok()??.ok()?;
            let said = match message {
                Message::Text(text) => read(&text),
                Message::Close(_) => return None,
                Message::Binary(_) => Err(Refusal::misuse("expected JSON as text")),
                Message::Ping(_) | Message::Pong(_) => continue,
            };
            let asked = match &said {
                Ok(Said::Open(open)) => Some(open.dataset.clone()),
                _ => None,
            };
            let server = shared.clone();
            let seat = match said {
                Ok(Said::Open(open)) => {
                    tokio::task::spawn_blocking(move || server.sessions.open(&open))
                        .await
                        .unwrap_or_else(|e| Err(Refusal::failure(e)))
                }
                Ok(Said::Join { session, key }) => server.sessions.join(session, key.as_deref()),
                Ok(_) => Err(Refusal::misuse(
                    "expected `open` or `join` as the first word",
                )),
                Err(refusal) => Err(refusal),
            };
            match seat {
                Ok(seat) => {
                    self.send(&Answer::Opened(seat.opened())).await?;
                    return Some(seat);
                }
                Err(refusal) => {
                    let held = asked.filter(|_| refusal.fault == Fault::Conflict);
                    let held_by = held.and_then(|name| shared.sessions.recording_into(&name));
                    let message = refusal.message;
                    self.send(&Answer::Refused { message, held_by }).await?;
                }
            }
        }
        None
    }

    /// Carries words and answers until one side goes.
    async fn talk(mut self, mut seat: Seat) {
        let mut mistakes = 0;
        let mut heard = Instant::now();
        let mut ask = interval(ASKED_EVERY);
        loop {
            let went = tokio::select! {
                message = self.socket.next() => {
                    heard = Instant::now();
                    match message {
                        Some(Ok(Message::Text(text))) => {
                            let said = read(&text).and_then(|said| seat.say(said));
                            match said {
                                Ok(()) => Some(()),
                                Err(refusal) => {
                                    mistakes += 1;
                                    let answer = Answer::Refused {
                                        message: refusal.message,
                                        held_by: None,
                                    };
                                    let told = self.send(&answer).await;
                                    told.filter(|()| mistakes < MOST_MISTAKES)
                                }
                            }
                        }
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Some(()),
                        Some(Ok(Message::Binary(_) | Message::Close(_)) | Err(_)) | None => None,
                    }
                }
                answer = seat.answers.recv() => match answer {
                    Ok(Sent { audience, text, last })
                        if audience == Audience::All || seat.drives() =>
                    {
                        let text = Utf8Bytes::from(text.as_ref());
                        let sent = self.socket.send(Message::Text(text)).await.ok();
                        sent.filter(|()| !last)
                    }
                    // Frames that a slow page missed are old by now.
                    Ok(_) | Err(RecvError::Lagged(_)) => Some(()),
                    Err(RecvError::Closed) => None,
                },
                _ = ask.tick() => match heard.elapsed() > SILENCE {
                    true => None,
                    false => self.socket.send(Message::Ping(Vec::new().into())).await.ok(),
                },
            };
            if went.is_none() {
                break;
            }
        }
        // Before the farewell, which may wait for a page that is gone.
        drop(seat);
        let _ = timeout(Duration::from_secs(1), self.socket.close()).await;
    }

    async fn send(&mut self, answer: &Answer) -> Option<()> {
        let text = serde_json::to_string(answer).ok()?;
        self.socket.send(Message::Text(text.into())).await.ok()
    }
}

fn read(text: &str) -> Result<Said, Refusal> {
    serde_json::from_str(text)
        .map_err(|e| Refusal::misuse(format!("this message cannot be read: {e}")))
}
