#include "gateway/rpc/inference_service.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/rpc/auth_gate.h"
#include "base/rpc/unary_host.h"
#include "gateway/core/trace_context.h"
#include "gateway/dispatch/prompt_count.h"
#include "gateway/http/rate_headers.h"
#include "gateway/rpc/grpc_call.h"

namespace tidegate::gateway {
namespace {

/// Of a call without a deadline: more than any request may live.
constexpr Duration kBudgetMost = std::chrono::hours(24);
constexpr const char* kIdempotencyField = "idempotency-key";

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

/// Tells the lane that the call is over, through a weak pointer: all of it may be by then.
std::function<void()> ending_of(const std::shared_ptr<PaidCall>& call) {
  return [weak = std::weak_ptr<PaidCall>(call), executor = call->lane->executor] {
    asio::post(executor, [weak] {
      const auto ended = weak.lock();
      if (!ended) return;
      ended->is_gone = true;
      ended->tell_gone();
    });
  };
}

}  // namespace

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

void InferenceService::receive(GrpcCall& call, const grpc::CallbackServerContext& context, KeyScope scope) {
  call.lane = &next_lane();
  call.request = RequestId{ids_.next()};
  call.token = rpc::bearer_token(context);
  call.use = use_of(context, scope);
  if (context.client_metadata().count("traceparent") == 1) {
    const grpc::string_ref sent = context.client_metadata().find("traceparent")->second;
    call.traceparent.assign(sent.data(), sent.size());
  }
  call.received = clock_.mono();
  call.budget = rpc::deadline_of(context, kBudgetMost).remaining(call.received);
}

void InferenceService::receive_paid(PaidCall& call, const grpc::CallbackServerContext& context, KeyScope scope) {
  receive(call, context, scope);
  if (const auto sent = context.client_metadata().count(kIdempotencyField); sent > 0) {
    const auto& value = context.client_metadata().find(kIdempotencyField)->second;
    call.idempotency_key = sent == 1 ? std::string(value.data(), value.size()) : std::string();
  }
}

grpc::ServerWriteReactor<v1::ChatEvent>* InferenceService::Chat(grpc::CallbackServerContext* context,
                                                                const v1::ChatRequest* request) {
  auto call = std::make_shared<ChatCall>(*request);
  receive_paid(*call, *context, KeyScope::kChat);
  auto* reactor = call->open(context, ending_of(call));
  start(std::move(call));
  return reactor;
}

grpc::ServerUnaryReactor* InferenceService::Embed(grpc::CallbackServerContext* context, const v1::EmbedRequest* request,
                                                  v1::EmbedResponse* response) {
  auto call = std::make_shared<EmbedCall>(*request);
  receive_paid(*call, *context, KeyScope::kEmbeddings);
  auto* reactor = call->open(context, response, ending_of(call));
  start(std::move(call));
  return reactor;
}

grpc::ServerUnaryReactor* InferenceService::CountTokens(grpc::CallbackServerContext* context,
                                                        const v1::ChatRequest* request,
                                                        v1::CountTokensResponse* response) {
  auto call = std::make_shared<CountCall>(*request);
  receive(*call, *context, KeyScope::kChat);
  auto* reactor = call->open(context, response);
  const Executor executor = call->lane->executor;
  asio::co_spawn(executor, count(std::move(call)), asio::detached);
  return reactor;
}

void InferenceService::start(std::shared_ptr<PaidCall> call) {
  const Executor executor = call->lane->executor;
  asio::co_spawn(executor, serve(std::move(call)), asio::detached);
}

awaitable<void> InferenceService::serve(std::shared_ptr<PaidCall> call) {
  auto principal = principals_.authenticate(call->token, call->use);
  if (!principal) {
    refuse(*call, Refusal(std::move(principal).error()));
  } else if (call->idempotency_key) {
    co_await generate_once(call, *std::move(principal));
  } else {
    co_await generate(call, *std::move(principal), nullptr);
  }
}

awaitable<void> InferenceService::generate(std::shared_ptr<PaidCall> call, std::shared_ptr<const Principal> principal,
                                           ChargeFence* fence) {
  auto plan = call->take_plan();
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
  const std::unique_ptr<AnswerSink> sink = call->make_sink(std::move(head));
  RequestContext context;
  context.request = call->request;
  context.trace_id = std::move(trace.trace_id);
  context.surface = call->surface();
  context.principal = std::move(principal);
  context.plan = *std::move(plan);
  context.received = call->received;
  context.budget = call->budget;
  context.fence = fence;
  RequestDriver driver(*call->lane->serving, std::move(context), *sink, call->lane->executor);
  call->inbox = &driver.inbox();
  call->tell_gone();
  co_await driver.run();
  call->inbox = nullptr;
}

awaitable<void> InferenceService::generate_once(std::shared_ptr<PaidCall> call,
                                                std::shared_ptr<const Principal> principal) {
  IdempotencyDesk* desk = call->lane->desk;
  if (desk == nullptr) {
    refuse(*call, Refusal(Error(Code::kUnimplemented, "unsupported_parameter",
                                "This installation keeps no answers, so it takes no Idempotency-Key: leave it out.",
                                kIdempotencyHeader)));
    co_return;
  }
  KeyedCall keyed(*call);
  const IdempotencyDesk::Work work = [this, &call, &principal](ChargeFence* fence) {
    return generate(call, principal, fence);
  };
  std::string key_text = call->token;
  auto served = co_await desk->serve(keyed, *principal, std::move(key_text), call->request, work);
  switch (served.how) {
    case IdempotencyDesk::How::kRun: break;
    case IdempotencyDesk::How::kReplayed:
      call->lane->serving->metrics.requests("", call->surface(), served.status).add();
      break;
    case IdempotencyDesk::How::kRefused: refuse(*call, std::move(served.refusal)); break;
  }
}

awaitable<void> InferenceService::count(std::shared_ptr<CountCall> call) {
  auto principal = principals_.authenticate(call->token, call->use);
  if (!principal) {
    refuse(*call, Refusal(std::move(principal).error()));
    co_return;
  }
  const auto plan = call->take_plan();
  if (!plan) {
    refuse(*call, Refusal(plan.error()));
    co_return;
  }
  CountRequest request;
  request.request = call->request;
  request.trace_id = join_trace(call->traceparent, call->request).trace_id;
  request.surface = call->surface();
  request.principal = *std::move(principal);
  request.received = call->received;
  request.budget = call->budget;
  auto counting = count_prompt(*call->lane->serving, std::move(request), *plan);
  const auto counted = co_await std::move(counting);
  if (!counted) {
    refuse(*call, counted.error());
    co_return;
  }
  rpc::Metadata fields = metadata_of(*call);
  append_rate_headers(fields, counted->limits);
  call->answer(fields, counted->tokens);
}

rpc::Metadata InferenceService::metadata_of(const GrpcCall& call) {
  rpc::Metadata fields;
  fields.emplace_back("x-request-id", call.request.to_string());
  fields.emplace_back("traceparent", join_trace(call.traceparent, call.request).traceparent);
  return fields;
}

void InferenceService::refuse(GrpcCall& call, const Refusal& refusal) {
  count_refusal(*call.lane->serving, call, refusal.error);
  call.refuse(metadata_of(call), refusal);
}

void InferenceService::count_refusal(Serving& serving, const GrpcCall& call, const Error& error) {
  const int status = to_api_error(error).http_status;
  serving.metrics.requests("", call.surface(), status).add();
  serving.metrics.refusals(error.reason).add();
  serving.log.info("request", {kv("request_id", call.request.to_string()), kv("surface", call.surface()), kv("status", status),
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
