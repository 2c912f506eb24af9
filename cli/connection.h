#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "base/core/result.h"
#include "base/core/rpc_tls_options.h"
#include "cli/arguments.h"
#include "tidegate/v1/admin.grpc.pb.h"
#include "tidegate/v1/audit.grpc.pb.h"
#include "tidegate/v1/budget.grpc.pb.h"
#include "tidegate/v1/fleet.grpc.pb.h"
#include "tidegate/v1/inference.grpc.pb.h"
#include "tidegate/v1/ledger.grpc.pb.h"
#include "tidegate/v1/limit.grpc.pb.h"
#include "tidegate/v1/pricing.grpc.pb.h"
#include "tidegate/v1/statement.grpc.pb.h"
#include "tidegate/v1/receipt.grpc.pb.h"

namespace tidegate::cli {

/// Where an installation answers and with what credentials; the content of var/endpoint.json.
struct Endpoint {
  std::string base_url;    ///< e.g. "http://127.0.0.1:8080/v1"
  std::string grpc;        ///< the gateway's Inference service
  std::string billing;     ///< BillingAdmin
  std::string scheduler;   ///< FleetAdmin
  std::string api_key;
  std::string admin_key;
  RpcTlsOptions rpc_tls;   ///< for billing and scheduler; off: plain
  std::string grpc_ca;     ///< authorities of the Inference port's certificate; empty: plain
};

/// Fails: not_found/no_endpoint with the places looked at; invalid_argument when the file is malformed.
Result<Endpoint> load_endpoint(const Arguments& arguments);

/// What takes the administrator key's place: the token in the file of --token-file, or in $TIDEGATE_TOKEN; "" when there
/// is neither. Read anew by every command, so that whoever renews the file is signed in.
/// Fails: not_found/file_unreadable, invalid_argument/bad_token.
Result<std::string> load_token(const Arguments& arguments);

/// Channels are made on first use. Every call carries a deadline and the key that fits the service.
class Connection {
 public:
  static Result<Connection> open(const Arguments& arguments);

  v1::BillingAdmin::Stub& billing();
  v1::Budgets::Stub& budgets();
  v1::Limits::Stub& limits();
  v1::Ledger::Stub& ledger();
  v1::Statements::Stub& statements();
  v1::Pricing::Stub& pricing();
  v1::Receipts::Stub& receipts();
  v1::AuditLog::Stub& audit();
  v1::FleetAdmin::Stub& fleet();
  v1::Inference::Stub& inference();
  const Endpoint& endpoint() const { return endpoint_; }

  /// One unary call of BillingAdmin or FleetAdmin, e.g. call(&v1::BillingAdmin::Stub::ListTenants, billing(), request).
  template <typename Stub, typename Request, typename Response>
  Result<Response> call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*), Stub& stub,
                        const Request& request) {
    grpc::ClientContext context;
    prepare_admin(context);
    Response response;
    const grpc::Status status = (stub.*method)(&context, request, &response);
    if (!status.ok()) return std::unexpected(to_error(status, context));
    return response;
  }

  /// Sets the API key and a deadline of ten minutes.
  void prepare_inference(grpc::ClientContext& context, const std::string& api_key) const;
  static Error to_error(const grpc::Status& status, const grpc::ClientContext& context);

 private:
  void prepare_admin(grpc::ClientContext& context) const;

  Endpoint endpoint_;
  std::unique_ptr<v1::BillingAdmin::Stub> billing_;
  std::unique_ptr<v1::Budgets::Stub> budgets_;
  std::unique_ptr<v1::Limits::Stub> limits_;
  std::unique_ptr<v1::Ledger::Stub> ledger_;
  std::unique_ptr<v1::Statements::Stub> statements_;
  std::unique_ptr<v1::Pricing::Stub> pricing_;
  std::unique_ptr<v1::Receipts::Stub> receipts_;
  std::unique_ptr<v1::AuditLog::Stub> audit_;
  std::unique_ptr<v1::FleetAdmin::Stub> fleet_;
  std::unique_ptr<v1::Inference::Stub> inference_;
};

}  // namespace tidegate::cli
