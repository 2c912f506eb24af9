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
#include "base/rpc/unary_host.h"
#include "gateway/core/trace_context.h"
#include "gateway/rpc/chat_codec.h"
#include "gateway/rpc/grpc_sink.h"

namespace tidegate::gateway {
namespace {

constexpr std::string_view kSurface = "grpc.chat";
constexpr std::size_t kEventsWaitingMax = 64;
/// Of a call without a deadline: more than any request may live.
constexpr Duration kBudgetMost = std::chrono::hours(24);
constexpr const char* kIdempotencyField = "idempotency-key";
/// Before what a request brings: the same bytes sent elsewhere are another request.
constexpr std::string_view kPath = "/tidegate.v1.Inference/Chat\n";

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
  std::optional<std::string> idempotency_key;  ///< "" when it was sent more than once
  std::optional<ChatWriter> writer;
  FlowInbox* inbox = nullptr;  ///< on the lane, while the driver lives
  AnswerTap* tap = nullptr;    ///< on the lane, while the answer is kept
  bool is_gone = false;        ///< on the lane

  void tell_gone() {
    const bool is_wanted = tap != nullptr && tap->outlives_client();
    if (is_gone && inbox != nullptr && !is_wanted) inbox->on_client_gone();
  }
};

/// A Chat call with an Idempotency-Key.
class InferenceService::KeyedCall final : public KeyedExchange {
 public:
  explicit KeyedCall(Call& call) : call_(call), content_(std::string(kPath) + call.message.SerializeAsString()) {}
  std::string_view key() const override { return *call_.idempotency_key; }
  std::string content() const override { return content_; }
  void set_tap(AnswerTap* tap) override { call_.tap = tap; }
  awaitable<Status> replay(StoredAnswer answer) override {
    auto kept = read_kept(answer.body);
    call_.writer->add_initial(answer.headers);
    if (!kept) {
      call_.writer->finish(fail(public_error(Refusal(std::move(kept).error()))));
      co_return Status();
    }
    for (v1::ChatEvent& event : kept->events) {
      Status pushed = call_.writer->push(std::move(event));
      if (!pushed) co_return pushed;
    }
    call_.writer->finish(kept->end);
    co_return Status();
  }

 private:
  Call& call_;
  const std::string content_;
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
  if (const auto sent = context->client_metadata().count(kIdempotencyField); sent > 0) {
    const auto& value = context->client_metadata().find(kIdempotencyField)->second;
    call->idempotency_key = sent == 1 ? std::string(value.data(), value.size()) : std::string();
  }

  rpc::WriterOptions<v1::ChatEvent> options;
  options.queue_max = kEventsWaitingMax;
  options.merge = merge_events;
  options.on_done = [weak = std::weak_ptr<Call>(call), executor = call->lane->executor] {
    asio::post(executor, [weak] {
      const auto ended = weak.lock();
      if (!ended) return;
      ended->is_gone = true;
      ended->tell_gone();
    });
  };
  // Keys are checked on the lane, like over HTTP; the stream itself is open to everybody.
  call->writer.emplace(ChatWriter::open(context, rpc::AuthGate::open(), std::move(options)));
  auto* reactor = call->writer->reactor();
  const Executor executor = call->lane->executor;
  asio::co_spawn(executor, serve(std::move(call)), asio::detached);
  return reactor;
}

awaitable<void> InferenceService::serve(std::shared_ptr<Call> call) {
  auto principal = principals_.authenticate(call->token, call->use);
  if (!principal) {
    refuse(*call, Refusal(std::move(principal).error()));
  } else if (call->idempotency_key) {
    co_await chat_once(call, *std::move(principal));
  } else {
    co_await chat(call, *std::move(principal), nullptr);
  }
}

awaitable<void> InferenceService::chat(std::shared_ptr<Call> call, std::shared_ptr<const Principal> principal,
                                       ChargeFence* fence) {
  auto plan = decode_chat(std::move(call->message));
  if (!plan) {
    refuse(*call, Refusal(std::move(plan).error()));
    co_return;
  }
  TraceContext trace = join_trace(call->traceparent, call->request);
  GrpcHead head;
  head.request = call->request;
  head.traceparent = std::move(trace.traceparent);
  head.model = plan->model;
  head.tier = grant_tier(plan->tier, principal->tier_max);
  GrpcSink sink(*call->writer, std::move(head), call->tap);
  RequestContext context;
  context.request = call->request;
  context.trace_id = std::move(trace.trace_id);
  context.surface = kSurface;
  context.principal = std::move(principal);
  context.plan = *std::move(plan);
  context.received = call->received;
  context.budget = call->budget;
  context.fence = fence;
  RequestDriver driver(*call->lane->serving, std::move(context), sink, call->lane->executor);
  call->inbox = &driver.inbox();
  call->tell_gone();
  co_await driver.run();
  call->inbox = nullptr;
}

awaitable<void> InferenceService::chat_once(std::shared_ptr<Call> call, std::shared_ptr<const Principal> principal) {
  IdempotencyDesk* desk = call->lane->desk;
  if (desk == nullptr) {
    refuse(*call, Refusal(Error(Code::kUnimplemented, "unsupported_parameter",
                                "This installation keeps no answers, so it takes no Idempotency-Key: leave it out.",
                                kIdempotencyHeader)));
    co_return;
  }
  KeyedCall keyed(*call);
  const IdempotencyDesk::Work work = [this, &call, &principal](ChargeFence* fence) {
    return chat(call, principal, fence);
  };
  std::string key_text = call->token;
  auto served = co_await desk->serve(keyed, *principal, std::move(key_text), call->request, work);
  switch (served.how) {
    case IdempotencyDesk::How::kRun: break;
    case IdempotencyDesk::How::kReplayed:
      call->lane->serving->metrics.requests("", kSurface, served.status).add();
      break;
    case IdempotencyDesk::How::kRefused: refuse(*call, std::move(served.refusal)); break;
  }
}

void InferenceService::refuse(Call& call, const Refusal& refusal) {
  count_refusal(*call.lane->serving, call, refusal.error);
  rpc::Metadata fields;
  fields.emplace_back("x-request-id", call.request.to_string());
  fields.emplace_back("traceparent", join_trace(call.traceparent, call.request).traceparent);
  call.writer->add_initial(fields);
  call.writer->finish(fail(public_error(refusal)), refusal_metadata(refusal));
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
