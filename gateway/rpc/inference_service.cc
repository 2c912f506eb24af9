#include "gateway/rpc/inference_service.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/rpc/auth_gate.h"
#include "base/rpc/stream_writer.h"
#include "base/rpc/unary_host.h"
#include "gateway/core/trace_context.h"
#include "gateway/rpc/chat_codec.h"

namespace tidegate::gateway {
namespace {

constexpr std::string_view kSurface = "grpc.chat";
constexpr std::size_t kEventsWaitingMax = 64;
/// Of a call without a deadline: more than any request may live.
constexpr Duration kBudgetMost = std::chrono::hours(24);

using Writer = rpc::StreamWriter<v1::ChatEvent>;

/// "ipv4:203.0.113.7:4711" and "ipv6:%5B2001:db8::1%5D:4711", as gRPC names peers, to what comes before the port; ""
/// for every other kind.
std::string peer_address(const std::string& peer) {
  if (!peer.starts_with("ipv4:") && !peer.starts_with("ipv6:")) return {};
  std::string address = peer.substr(5);
  for (const auto& [escape, character] : {std::pair("%5B", '['), std::pair("%5D", ']')}) {
    if (const auto at = address.find(escape); at != std::string::npos) address.replace(at, 3, 1, character);
  }
  return address;
}

/// The gRPC way of answering: events in order, then the status.
class GrpcSink final : public AnswerSink {
 public:
  GrpcSink(Writer& writer, RequestId request, std::string model, ServiceTier tier)
      : writer_(writer), request_(request), model_(std::move(model)), tier_(tier) {}

  void on_admitted(std::string_view) override {}
  void on_dispatched(const WorkerFacts& worker) override { worker_ = worker; }
  void on_accepted(const TokenUsage& usage) override {
    // A failed push shows again at the next delivery. A retry does not announce itself twice.
    if (!std::exchange(is_announced_, true)) (void)writer_.push(encode_accepted(request_, model_, worker_, usage));
  }
  awaitable<Status> deliver(std::string reasoning, std::string content, ToolCallDeltas tool_calls) override {
    co_return writer_.push(encode_delta(std::move(reasoning), std::move(content), std::move(tool_calls)));
  }
  /// HTTP/2 pings keep the connection awake.
  awaitable<Status> keep_alive() override { co_return Status(); }
  awaitable<Status> finish(AnswerEnd end) override {
    if (!end.reasoning.empty() || !end.content.empty() || !end.tool_calls.empty()) {
      Status text = writer_.push(
          encode_delta(std::move(end.reasoning), std::move(end.content), std::move(end.tool_calls)));
      if (!text) co_return text;
    }
    Status pushed = writer_.push(encode_finished(end, tier_));
    writer_.finish({});
    co_return pushed;
  }
  awaitable<Status> refuse(Refusal refusal) override {
    writer_.finish(fail(public_error(refusal)));
    co_return Status();
  }

 private:
  Writer& writer_;
  RequestId request_;
  std::string model_;
  const ServiceTier tier_;
  WorkerFacts worker_;
  bool is_announced_ = false;
};

}  // namespace

/// One Chat call. The reactor's end is told to the lane through a weak pointer: the call may be over by then.
struct InferenceService::Call {
  const ServingLane* lane = nullptr;
  RequestId request;
  std::string token;
  KeyUse use;
  std::string traceparent;  ///< as the caller sent it; "" = none
  v1::ChatRequest message;
  Mono received;
  Duration budget{};  ///< the call's own deadline
  bool is_return = false;
  std::optional<Writer> writer;
  FlowInbox* inbox = nullptr;  ///< on the lane, while the driver lives
  bool is_gone = false;        ///< on the lane
};

InferenceService::InferenceService(const Principals& principals, IdSource& ids, const Clock& clock,
                                   std::vector<ServingLane> lanes, TrustedProxies proxies)
    : principals_(principals), ids_(ids), clock_(clock), lanes_(std::move(lanes)), proxies_(std::make_shared<const TrustedProxies>(std::move(proxies))) {}

void InferenceService::set_proxies(TrustedProxies proxies) {
  auto fresh = std::make_shared<const TrustedProxies>(std::move(proxies));
  const std::lock_guard lock(proxies_mutex_);
  proxies_ = std::move(fresh);
}

InferenceService::~InferenceService() = default;

const ServingLane& InferenceService::next_lane() {
  return lanes_[turn_.fetch_add(1, std::memory_order_relaxed) % lanes_.size()];
}

grpc::ServerWriteReactor<v1::ChatEvent>* InferenceService::Chat(grpc::CallbackServerContext* context,
                                                                const v1::ChatRequest* request) {
  auto call = std::make_shared<Call>();
  call->lane = &next_lane();
  call->request = RequestId{ids_.next()};
  call->token = rpc::bearer_token(*context);
  call->use = use_of(*context, KeyScope::kChat);
  if (context->client_metadata().count("traceparent") == 1) {
    const grpc::string_ref sent = context->client_metadata().find("traceparent")->second;
    call->traceparent.assign(sent.data(), sent.size());
  }
  call->message = *request;
  call->received = clock_.mono();
  call->budget = rpc::deadline_of(*context, kBudgetMost).remaining(call->received);
  // Set by gRPC itself when it tries again what was refused.
  call->is_return = context->client_metadata().contains("grpc-previous-rpc-attempts");
  context->AddInitialMetadata("x-request-id", call->request.to_string());

  rpc::WriterOptions<v1::ChatEvent> options;
  options.queue_max = kEventsWaitingMax;
  options.merge = merge_events;
  options.on_done = [weak = std::weak_ptr<Call>(call), executor = call->lane->executor] {
    asio::post(executor, [weak] {
      const auto ended = weak.lock();
      if (!ended) return;
      ended->is_gone = true;
      if (ended->inbox != nullptr) ended->inbox->on_client_gone();
    });
  };
  // Keys are checked on the lane, like over HTTP; the stream itself is open to everybody.
  call->writer.emplace(Writer::open(context, rpc::AuthGate::open(), std::move(options)));
  auto* reactor = call->writer->reactor();
  const Executor executor = call->lane->executor;
  asio::co_spawn(executor, serve(std::move(call)), asio::detached);
  return reactor;
}

awaitable<void> InferenceService::serve(std::shared_ptr<Call> call) {
  Serving& serving = *call->lane->serving;
  auto principal = principals_.authenticate(call->token, call->use);
  if (!principal) {
    count_refusal(serving, *call, principal.error());
    call->writer->finish(fail(std::move(principal).error()));
    co_return;
  }
  auto plan = decode_chat(std::move(call->message));
  if (!plan) {
    count_refusal(serving, *call, plan.error());
    call->writer->finish(fail(std::move(plan).error()));
    co_return;
  }
  GrpcSink sink(*call->writer, call->request, plan->model, grant_tier(plan->tier, (*principal)->tier_max));
  RequestContext context;
  context.request = call->request;
  context.trace_id = join_trace(call->traceparent, call->request).trace_id;
  context.surface = kSurface;
  context.principal = *std::move(principal);
  context.plan = *std::move(plan);
  context.received = call->received;
  context.budget = call->budget;
  context.is_return = call->is_return;
  RequestDriver driver(serving, std::move(context), sink, call->lane->executor);
  call->inbox = &driver.inbox();
  if (call->is_gone) call->inbox->on_client_gone();
  co_await driver.run();
  call->inbox = nullptr;
}

void InferenceService::count_refusal(Serving& serving, const Call& call, const Error& error) {
  const int status = to_api_error(error).http_status;
  serving.metrics.requests("", kSurface, status).add();
  serving.metrics.refusals(error.reason).add();
  serving.log.info("request", {kv("request_id", call.request.to_string()), kv("surface", kSurface), kv("status", status),
                               kv("reason", error.reason), kv("field", error.field)});
}

grpc::ServerUnaryReactor* InferenceService::ListModels(grpc::CallbackServerContext* context,
                                                       const v1::ListModelsRequest*, v1::ListModelsResponse* response) {
  auto* reactor = context->DefaultReactor();
  const ServingLane& lane = next_lane();
  // Routes belong to the lane.
  asio::post(lane.executor, [this, context, reactor, response, &lane, token = rpc::bearer_token(*context),
                             use = use_of(*context, KeyScope::kModels)] {
    auto listed = list(*lane.serving, token, use);
    if (!listed) {
      reactor->Finish(rpc::to_grpc(*context, listed.error()));
      return;
    }
    *response = *std::move(listed);
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

/// A unix socket's peer has no address: a key limited to sources is refused there.
KeyUse InferenceService::use_of(const grpc::ServerContextBase& context, KeyScope scope) const {
  KeyUse use;
  use.scope = scope;
  std::vector<std::string_view> forwarded;
  std::shared_ptr<const TrustedProxies> proxies;
  {
    const std::lock_guard lock(proxies_mutex_);
    proxies = proxies_;
  }
  if (!proxies->empty()) {
    const auto [first, last] = context.client_metadata().equal_range("x-forwarded-for");
    for (auto field = first; field != last; ++field) forwarded.emplace_back(field->second.data(), field->second.size());
  }
  use.client = proxies->client_of(peer_address(context.peer()), forwarded);
  return use;
}

Result<v1::ListModelsResponse> InferenceService::list(const Serving& serving, const std::string& token,
                                                      const KeyUse& use) const {
  TG_ASSIGN(const auto principal, principals_.authenticate(token, use));
  v1::ListModelsResponse response;
  for (const std::string& id : serving.dispatcher.routes().models()) {
    if (!principal->may_call(id)) continue;
    auto* model = response.add_models();
    model->set_id(id);
    if (const auto pool = serving.dispatcher.routes().pool_for(id)) model->set_context_max(pool->context_max);
    if (const auto quote = serving.meter.quote(*principal, id)) {
      model->set_band(quote->band);
      model->set_currency(quote->currency);
      model->set_prompt_hit(quote->prompt_hit);
      model->set_prompt_miss(quote->prompt_miss);
      model->set_output(quote->output);
    }
  }
  return response;
}

}  // namespace tidegate::gateway
