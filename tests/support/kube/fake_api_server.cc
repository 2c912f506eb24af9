#include "tests/support/kube/fake_api_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include "tests/support/coro_wait.h"

namespace tidegate::test {

namespace {

std::string event_line(const char* type, json::object object) {
  return json::serialize(json::object{{"type", type}, {"object", std::move(object)}}) + "\n";
}

std::int64_t number(const std::string& text) { return std::strtoll(text.c_str(), nullptr, 10); }

}  // namespace

FakeApiServer::FakeApiServer(Options options) : options_(std::move(options)), schema_(SchemaCheck::load()) {
  HttpServerOptions http;
  http.service = "fake_api";
  http.tls = options_.tls;
  http.media_types = MediaTypes::kAny;  // patches are of kinds of their own
  HttpHandler handler = [this](HttpExchange& exchange) { return serve(exchange); };
  auto started = HttpServer::start(threads_, std::move(http), std::move(handler), clock_, log_, metrics_);
  if (!started) throw std::runtime_error(started.error().to_string());
  server_ = *std::move(started);
}

FakeApiServer::~FakeApiServer() {
  is_ending_ = true;
  server_.reset();
  threads_.stop();
}

std::string FakeApiServer::url() const {
  return fmt::format("{}://127.0.0.1:{}", options_.tls ? "https" : "http", server_->port());
}

void FakeApiServer::set_token(std::string token) {
  const std::lock_guard lock(mutex_);
  options_.token = std::move(token);
}

std::string FakeApiServer::token() const {
  const std::lock_guard lock(mutex_);
  return options_.token;
}

void FakeApiServer::add_fault(ApiFault fault) {
  const std::lock_guard lock(mutex_);
  faults_.push_back(std::move(fault));
}

void FakeApiServer::clear_faults() {
  const std::lock_guard lock(mutex_);
  faults_.clear();
  ++faults_cleared_;
}

void FakeApiServer::expire_watches() {
  const std::lock_guard lock(mutex_);
  store_.forget_past();
}

std::vector<std::string> FakeApiServer::writes() const {
  const std::lock_guard lock(mutex_);
  return writes_;
}

std::optional<ApiFault> FakeApiServer::take_fault(std::string_view method, std::string_view path) {
  const std::lock_guard lock(mutex_);
  for (auto it = faults_.begin(); it != faults_.end(); ++it) {
    if (!it->method.empty() && it->method != method) continue;
    if (path.find(it->path_part) == std::string_view::npos) continue;
    ApiFault fault = *it;
    if (--it->times <= 0) faults_.erase(it);
    return fault;
  }
  return std::nullopt;
}

awaitable<void> FakeApiServer::stall(HttpExchange& exchange) {
  const int cleared = faults_cleared_;
  while (!exchange.is_client_gone() && !is_ending_ && faults_cleared_ == cleared) co_await turn();
}

awaitable<void> FakeApiServer::cut(HttpExchange& exchange) {
  exchange.begin_stream(200, "application/json");
  const Status sent = co_await exchange.write("{");
  static_cast<void>(sent);  // a stream that its handler does not end is cut with RST
}

awaitable<void> FakeApiServer::serve(HttpExchange& exchange) {
  const HttpRequest& request = exchange.request();
  const std::string expected = token();
  if (!expected.empty() && request.header("Authorization") != "Bearer " + expected) {
    HttpResponse refused(401, json::serialize(kube_status(401, "Unauthorized", "Unauthorized")));
    co_await exchange.respond(std::move(refused));
    co_return;
  }
  const KubePath path = parse_kube_path(request.path);
  const std::optional<ApiFault> fault = take_fault(request.method, request.path);
  if (fault && fault->kind == ApiFault::Kind::kStall) {
    co_await stall(exchange);
    co_await cut(exchange);
    co_return;
  }
  if (fault && fault->kind == ApiFault::Kind::kCut) {
    co_await cut(exchange);
    co_return;
  }
  if (fault && fault->kind == ApiFault::Kind::kStatus) {
    HttpResponse failed(fault->status, json::serialize(kube_status(fault->status, "Fault", "as the test asked")));
    if (fault->retry_after_s > 0) failed.headers.emplace_back("Retry-After", std::to_string(fault->retry_after_s));
    co_await exchange.respond(std::move(failed));
    co_return;
  }
  if (query_value(request.query, "watch") == "1") {
    co_await serve_watch(exchange, path);
    co_return;
  }
  const KubeReply reply = carry_out(request, path);
  if (fault && fault->kind == ApiFault::Kind::kLostAnswer) {
    co_await cut(exchange);
    co_return;
  }
  HttpResponse response(reply.status, json::serialize(reply.body));
  co_await exchange.respond(std::move(response));
}

KubeReply FakeApiServer::carry_out(const HttpRequest& request, const KubePath& path) {
  const std::lock_guard lock(mutex_);
  if (!store_.serves(path.plural()))
    return {404, kube_status(404, "NotFound", "the server could not find the requested resource")};
  if (request.method == "GET") {
    if (!path.name.empty()) return store_.get(path);
    ++lists_;
    return store_.list(path.collection, query_value(request.query, "labelSelector"),
                       static_cast<std::size_t>(number(query_value(request.query, "limit"))),
                       query_value(request.query, "continue"));
  }
  writes_.push_back(fmt::format("{} {}", request.method, request.path));
  json::object body;
  if (!request.body.empty()) {
    const auto parsed = json::parse(request.body, 64);
    if (!parsed || !parsed->is_object()) return {400, kube_status(400, "BadRequest", "the body is no JSON object")};
    body = parsed->get_object();
  }
  const std::string manager = query_value(request.query, "fieldManager");
  const std::string_view type = request.header("Content-Type");
  const bool is_apply = type == "application/apply-patch+yaml";
  if (query_value(request.query, "fieldValidation") == "Strict") {
    const auto complaints = schema_.complaints(body, !query_value(request.query, "force").starts_with("true"));
    if (!complaints.empty())
      return {400, kube_status(400, "BadRequest", "strict decoding error: " + complaints.front())};
  }
  if (request.method == "POST") return store_.create(path, std::move(body), manager);
  if (request.method == "PUT") return store_.replace(path, std::move(body), manager);
  if (request.method == "DELETE") return store_.remove(path, body);
  if (request.method != "PATCH") return {405, kube_status(405, "MethodNotAllowed", "no such method")};
  if (!is_apply) return store_.merge(path, body, manager);
  if (manager.empty()) return {400, kube_status(400, "BadRequest", "fieldManager is required for apply patch")};
  return store_.apply(path, std::move(body), manager, query_value(request.query, "force") == "true");
}

awaitable<void> FakeApiServer::serve_watch(HttpExchange& exchange, const KubePath& path) {
  const std::string selector = query_value(exchange.request().query, "labelSelector");
  std::int64_t version = number(query_value(exchange.request().query, "resourceVersion"));
  const std::int64_t seconds =
      std::max<std::int64_t>(1, number(query_value(exchange.request().query, "timeoutSeconds")));
  const bool bookmarks = query_value(exchange.request().query, "allowWatchBookmarks") == "true";
  const Mono until = clock_.mono() + std::chrono::seconds(seconds);
  const int cuts = watch_cuts_;
  struct Open {
    explicit Open(std::atomic<int>& count_in) : count(count_in) { ++count; }
    ~Open() { --count; }
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;
    std::atomic<int>& count;
  } open(watches_open_);
  exchange.begin_stream(200, "application/json");
  if (!with_store([&](const KubeStore& store) { return store.serves(path.plural()); })) version = -1;
  while (!exchange.is_client_gone() && !is_ending_) {
    if (watch_cuts_ != cuts) co_return;
    if (clock_.mono() >= until) break;
    if (is_silent_) {
      co_await turn();
      continue;
    }
    std::optional<std::vector<KubeStore::Event>> events;
    std::int64_t newest = 0;
    {
      const std::lock_guard lock(mutex_);
      events = store_.events_after(version, path.collection, selector);
      newest = store_.version();
    }
    std::string out;
    if (!events) {
      out = event_line("ERROR", kube_status(410, "Expired", "too old resource version"));
      co_await exchange.end_stream(out);
      co_return;
    }
    for (KubeStore::Event& event : *events) out += event_line(event.type.c_str(), std::move(event.object));
    if (newest != version && events->empty() && bookmarks) {
      json::object mark = {{"metadata", json::object{{"resourceVersion", std::to_string(newest)}}}};
      out = event_line("BOOKMARK", std::move(mark));
    }
    version = newest;
    if (!out.empty()) {
      const Status sent = co_await exchange.write(out);
      if (!sent) co_return;
    }
    co_await turn();
  }
  co_await exchange.end_stream();
}

}  // namespace tidegate::test
