//! People who sign in, and the messages sent to them.

use serde_json::{Value, json};

use crate::app::TestApp;
use crate::client::{Answer, Client, text};
use crate::wait::eventually;

pub const PASSWORD: &str = "correct horse battery staple";

/// A person with a password and a session.
#[derive(Clone, Debug)]
pub struct Person {
    pub id: String,
    pub email: String,
    /// The API as this person.
    pub client: Client,
}

impl TestApp {
    /// Invites a person, sets the password, and signs the person in.
    pub async fn person(&self, role: &str) -> Person {
        self.person_with(json!({"role": role})).await
    }

    /// A person of this affiliate.
    pub async fn person_of(&self, affiliate_id: &str) -> Person {
        self.person_with(json!({"role": "affiliate", "affiliate_id": affiliate_id})).await
    }

    async fn person_with(&self, mut body: Value) -> Person {
        let email = format!("person-{}@example.com", self.unique());
        body["email"] = json!(email);
        body["name"] = json!("Grace");
        let user = self.admin.post("/api/v1/users", &body).await.expect(201);
        self.set_password(&token_in(&text(&user, "invitation_url")), PASSWORD).await.expect(200);
        let client = self.signed_in(&email, PASSWORD).await;
        Person { id: text(&user, "id"), email, client }
    }

    /// Sets a password with the token of a message.
    pub async fn set_password(&self, token: &str, password: &str) -> Answer {
        let body = json!({"token": token, "password": password});
        self.anonymous().post("/api/v1/auth/set-password", &body).await
    }

    /// Signs in with a password and returns any answer.
    pub async fn sign_in(&self, email: &str, password: &str) -> Answer {
        self.anonymous().post("/api/v1/auth/login", &json!({"email": email, "password": password})).await
    }

    /// Signs in with a password and returns the API with that session.
    pub async fn signed_in(&self, email: &str, password: &str) -> Client {
        let answer = self.sign_in(email, password).await;
        answer.expect(200);
        self.anonymous().with_session_of(&answer)
    }

    /// The messages to an address, oldest first.
    pub fn mails_to(&self, email: &str) -> Vec<String> {
        let Ok(folder) = std::fs::read_dir(self.data_dir().join("mail")) else { return Vec::new() };
        let paths = folder.flatten().map(|entry| entry.path());
        let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|it| it == "eml")).collect();
        paths.sort();
        let texts = paths.iter().filter_map(|path| std::fs::read_to_string(path).ok());
        // Long lines are wrapped as mail requires; a mail reader joins them.
        let texts = texts.map(|text| text.replace("=\r\n", "").replace("=3D", "="));
        texts.filter(|text| text.contains(&format!("To: {email}"))).collect()
    }

    /// The only message to an address with this subject, when it has arrived.
    pub async fn mail_to(&self, email: &str, subject: &str) -> String {
        eventually("the message to arrive", async || {
            let mut found = self.mails_to(email).into_iter();
            found.rfind(|text| text.contains(&format!("Subject: {subject}")))
        })
        .await
    }
}

/// The token at the end of the link in a message or an answer.
#[track_caller]
pub fn token_in(text: &str) -> String {
    let word = text
        .split_whitespace()
        .find(|word| word.starts_with("http") && word.rsplit('/').next().is_some_and(|it| it.len() == 64));
    let word = word.unwrap_or_else(|| panic!("no link in: {text}"));
    word.rsplit('/').next().expect("a split has a last part").to_owned()
}
