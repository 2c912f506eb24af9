#pragma once

#include <grpcpp/server_context.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "base/core/ids.h"
#include "base/rpc/status_map.h"
#include "gateway/core/client_address.h"
#include "gateway/dispatch/request_driver.h"
#include "gateway/http/idempotency_desk.h"
#include "gateway/ports.h"
#include "tidegate/v1/inference.grpc.pb.h"

namespace tidegate::gateway {

class GrpcCall;
class PaidCall;
class CountCall;

/// One io thread as the service sees it.
struct ServingLane {
  Serving* serving = nullptr;
  Executor executor;
  IdempotencyDesk* desk = nullptr;  ///< null: requests with an Idempotency-Key are refused
};

/// The public API over gRPC, with the same plan, flow, money and errors as over HTTP. Keys travel as metadata
/// `authorization: Bearer tgk_...`, Idempotency-Keys as `idempotency-key`; what HTTP says in headers comes back as initial
/// metadata, and of a refusal `retry-after-ms` as trailing metadata. Calls are handed to the io threads in turn; gRPC's
/// own threads only copy and post.
class InferenceService final : public v1::Inference::CallbackService {
 public:
  /// All references outlive the server that runs this service.
  /// `proxies`: whose x-forwarded-for metadata is believed, for keys limited to source addresses.
  InferenceService(const Principals& principals, IdSource& ids, const Clock& clock, std::vector<ServingLane> lanes,
                   TrustedProxies proxies = {});
  ~InferenceService() override;

  /// For calls that begin from now on. Any thread.
  void set_proxies(TrustedProxies proxies);

  grpc::ServerWriteReactor<v1::ChatEvent>* Chat(grpc::CallbackServerContext* context,
                                                const v1::ChatRequest* request) override;
  grpc::ServerUnaryReactor* Embed(grpc::CallbackServerContext* context, const v1::EmbedRequest* request,
                                  v1::EmbedResponse* response) override;
  grpc::ServerUnaryReactor* CountTokens(grpc::CallbackServerContext* context, const v1::ChatRequest* request,
                                        v1::CountTokensResponse* response) override;
  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context, const v1::ListModelsRequest* request,
                                       v1::ListModelsResponse* response) override;

 private:
  const ServingLane& next_lane();
  /// What the call's metadata says.
  void receive(GrpcCall& call, const grpc::CallbackServerContext& context, KeyScope scope);
  void receive_paid(PaidCall& call, const grpc::CallbackServerContext& context, KeyScope scope);
  /// On the call's lane. `call` is shared with gRPC's threads.
  void start(std::shared_ptr<PaidCall> call);
  awaitable<void> serve(std::shared_ptr<PaidCall> call);
  awaitable<void> count(std::shared_ptr<CountCall> call);
  /// From a request to the end of its answer. The principal is shared with the key cache.
  awaitable<void> generate(std::shared_ptr<PaidCall> call, std::shared_ptr<const Principal> principal,
                           ChargeFence* fence);
  /// The same for a request with an Idempotency-Key: once for all its repeats.
  awaitable<void> generate_once(std::shared_ptr<PaidCall> call, std::shared_ptr<const Principal> principal);
  /// Of every answer that no sink gives.
  static rpc::Metadata metadata_of(const GrpcCall& call);
  void refuse(GrpcCall& call, const Refusal& refusal);
  void count_refusal(Serving& serving, const GrpcCall& call, const Error& error);
  Result<v1::ListModelsResponse> list(const Serving& serving, const std::string& token, const KeyUse& use) const;
  KeyUse use_of(const grpc::ServerContextBase& context, KeyScope scope) const;

  const Principals& principals_;
  IdSource& ids_;
  const Clock& clock_;
  const std::vector<ServingLane> lanes_;
  mutable std::mutex proxies_mutex_;
  std::shared_ptr<const TrustedProxies> proxies_;  // guarded by proxies_mutex_; shared with calls that began under it
  std::atomic<std::size_t> turn_ = 0;
};

}  // namespace tidegate::gateway
