#include "base/obs/admin_server.h"

#include "base/net/http_server.h"
#include "base/obs/process_metrics.h"

namespace tidegate {

namespace {

constexpr std::size_t kConnectionsMax = 64;

HttpResponse answer_reload(const Result<std::vector<std::string>>& changed) {
  if (!changed) return HttpResponse(409, render_plain_error(changed.error(), 409) + "\n");
  std::string body = "{\"changed\":[";
  for (const std::string& option : *changed) {
    if (body.back() != '[') body += ',';
    append_json_string(body, option);
  }
  return HttpResponse(200, body + "]}\n");
}

HttpResponse answer(const HttpRequest& request, const PrometheusRegistry& registry, const Readiness& readiness,
                    const std::string& config_text, const AdminActions& actions) {
  if (request.path == "/reload" && actions.reload) {
    if (request.method != "POST") return HttpResponse(405, "only POST\n", "text/plain");
    // A page of anybody's may let its reader's browser post here, but not with a header of its own: that takes leave
    // (a preflight), which nobody gives.
    if (request.head.count(AdminServer::kReloadHeader) != 1 || request.header(AdminServer::kReloadHeader) != "1") {
      return HttpResponse(403, "send the header 'x-tidegate-reload: 1' with POST /reload\n", "text/plain");
    }
    return answer_reload(actions.reload());
  }
  if (request.method != "GET") return HttpResponse(405, "only GET\n", "text/plain");
  if (request.path == "/metrics") {
    return HttpResponse(200, registry.serialize() + render_process_metrics(), "text/plain; version=0.0.4");
  }
  if (request.path == "/livez") return HttpResponse(200, "ok\n", "text/plain");
  if (request.path == "/readyz") {
    return HttpResponse(readiness.is_ready() ? 200 : 503, readiness.render());
  }
  if (request.path == "/configz") return HttpResponse(200, actions.config ? actions.config() : config_text, "text/plain");
  return HttpResponse(404, "try /metrics, /livez, /readyz, /configz or POST /reload with the header 'x-tidegate-reload: 1'\n", "text/plain");
}

}  // namespace

struct AdminServer::State {
  IoThreads threads{1, "admin"};
  std::unique_ptr<HttpServer> server;  ///< ends before its thread
};

AdminServer::AdminServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
AdminServer::~AdminServer() = default;
std::string AdminServer::address() const { return state_->server->address(); }

Result<std::unique_ptr<AdminServer>> AdminServer::start(const std::string& listen, PrometheusRegistry& registry,
                                                        const Readiness& readiness, std::string config_text,
                                                        const Clock& clock, Log& log, AdminActions actions) {
  auto state = std::make_unique<State>();
  HttpServerOptions options;
  options.listen = listen;
  options.service = "admin";
  options.limits.connections = kConnectionsMax;
  HttpHandler handler = [&registry, &readiness, config = std::move(config_text), actions = std::move(actions)](
                            HttpExchange& exchange) -> awaitable<void> {
    HttpResponse response = answer(exchange.request(), registry, readiness, config, actions);
    co_await exchange.respond(std::move(response));
  };
  TG_ASSIGN(state->server, HttpServer::start(state->threads, std::move(options), std::move(handler), clock, log, registry));
  return std::unique_ptr<AdminServer>(new AdminServer(std::move(state)));
}

}  // namespace tidegate
