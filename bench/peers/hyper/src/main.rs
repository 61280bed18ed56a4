//! The collections of a db.json by hyper: every answer is kept as it is sent, the filter has an index.
//! hyper-peer PORT db.json
use hyper::body::{to_bytes, Bytes};
use hyper::header::{HeaderValue, CONTENT_TYPE};
use hyper::service::{make_service_fn, service_fn};
use hyper::{Body, Method, Request, Response, Server, StatusCode};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Collection {
    items: Vec<Bytes>,
    by_id: HashMap<String, usize>,
    by_user: HashMap<String, Vec<usize>>,
    list: Option<Bytes>, // of all items; none: to be joined anew
}

type Collections = HashMap<String, Mutex<Collection>>;

fn word(value: Option<&Value>) -> Option<String> {
    match value {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    }
}

fn join<'a>(items: impl Iterator<Item = &'a Bytes>) -> Bytes {
    let mut text = vec![b'['];
    for (i, item) in items.enumerate() {
        if i > 0 {
            text.push(b',');
        }
        text.extend_from_slice(item);
    }
    text.push(b']');
    Bytes::from(text)
}

impl Collection {
    fn add(&mut self, item: &Map<String, Value>) -> Bytes {
        let text = Bytes::from(serde_json::to_vec(item).unwrap());
        let at = self.items.len();
        self.items.push(text.clone());
        if let Some(id) = word(item.get("id")) {
            self.by_id.insert(id, at);
        }
        if let Some(user) = word(item.get("userId")) {
            self.by_user.entry(user).or_default().push(at);
        }
        self.list = None;
        text
    }

    fn of_user(&self, user: &str) -> Bytes {
        let found = self.by_user.get(user).map(Vec::as_slice).unwrap_or_default();
        join(found.iter().map(|&at| &self.items[at]))
    }

    fn all(&mut self) -> Bytes {
        if self.list.is_none() {
            self.list = Some(join(self.items.iter()));
        }
        self.list.clone().unwrap()
    }
}

fn answer(status: StatusCode, text: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn user_of(query: &str) -> &str {
    query.split('&').find_map(|pair| pair.strip_prefix("userId=")).unwrap_or("")
}

async fn serve(collections: Arc<Collections>, request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let nothing = || Ok(answer(StatusCode::NOT_FOUND, Bytes::from_static(b"{}")));
    let path = request.uri().path().trim_start_matches('/');
    let (name, id) = path.split_once('/').unwrap_or((path, ""));
    let found = match collections.get(name) {
        Some(found) => found,
        None => return nothing(),
    };
    if request.method() == Method::POST && id.is_empty() {
        let body = to_bytes(request.into_body()).await.unwrap_or_default();
        let mut item: Map<String, Value> = match serde_json::from_slice(&body) {
            Ok(item) => item,
            Err(_) => return Ok(answer(StatusCode::BAD_REQUEST, Bytes::from_static(b"{}"))),
        };
        let mut found = found.lock().unwrap();
        let id = (found.items.len() + 1).to_string();
        item.insert("id".to_string(), Value::String(id));
        return Ok(answer(StatusCode::CREATED, found.add(&item)));
    }
    let mut found = found.lock().unwrap();
    if !id.is_empty() {
        return match found.by_id.get(id) {
            Some(&at) => Ok(answer(StatusCode::OK, found.items[at].clone())),
            None => nothing(),
        };
    }
    let text = match request.uri().query() {
        Some(query) => found.of_user(user_of(query)),
        None => found.all(),
    };
    Ok(answer(StatusCode::OK, text))
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let port: u16 = arguments[1].parse().expect("a port");
    let text = std::fs::read(&arguments[2]).expect("the data file");
    let document: HashMap<String, Vec<Map<String, Value>>> = serde_json::from_slice(&text).expect("collections");
    let mut collections = Collections::new();
    for (name, items) in &document {
        let mut collection = Collection::default();
        for item in items {
            collection.add(item);
        }
        collections.insert(name.clone(), Mutex::new(collection));
    }
    let collections = Arc::new(collections);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
    runtime.block_on(async move {
        let service = make_service_fn(move |_| {
            let collections = collections.clone();
            async move { Ok::<_, Infallible>(service_fn(move |request| serve(collections.clone(), request))) }
        });
        Server::bind(&SocketAddr::from(([127, 0, 0, 1], port))).tcp_nodelay(true).serve(service).await.expect("to serve");
    });
}
