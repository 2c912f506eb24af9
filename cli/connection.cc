#include "cli/connection.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "base/core/clock.h"
#include "base/json/json.h"
#include "base/rpc/tls.h"
#include "cli/text_file.h"

namespace tidegate::cli {

namespace {

constexpr std::chrono::seconds kAdminDeadline{30};
constexpr std::chrono::minutes kChatDeadline{10};
constexpr std::size_t kTokenBytesMax = 8 * 1024;

std::vector<std::string> endpoint_candidates(const Arguments& arguments) {
  if (arguments.has("endpoint")) return {arguments.option("endpoint")};
  std::vector<std::string> paths;
  if (const char* from_environment = std::getenv("TIDEGATE_ENDPOINT")) paths.emplace_back(from_environment);
  if (const char* var = std::getenv("TIDEGATE_VAR")) paths.push_back(std::string(var) + "/endpoint.json");
  paths.emplace_back("var/endpoint.json");
  std::error_code code;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", code);
  // build/release/bin/tidegate -> the installation's root.
  if (!code) paths.push_back((self.parent_path().parent_path().parent_path().parent_path() / "var/endpoint.json").string());
  return paths;
}

template <typename Service>
auto make_stub(const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments settings;
  settings.SetMaxReceiveMessageSize(64 * 1024 * 1024);
  return Service::NewStub(grpc::CreateCustomChannel(address, credentials, settings));
}

template <typename Service>
auto billing_stub(const Endpoint& endpoint) {
  return make_stub<Service>(endpoint.billing,
                            rpc::channel_credentials(endpoint.billing, endpoint.rpc_tls, rpc::kBillingRole));
}

}  // namespace

Result<Endpoint> load_endpoint(const Arguments& arguments) {
  const auto candidates = endpoint_candidates(arguments);
  for (const auto& path : candidates) {
    if (!std::filesystem::exists(path)) continue;
    TG_ASSIGN(const json::value document, json::parse_file(path));
    if (!document.is_object()) return fail(Code::kInvalidArgument, "bad_endpoint", path + " is not a JSON object");
    const json::object& from = document.get_object();
    Endpoint endpoint;
    for (auto& [key, target] : std::initializer_list<std::pair<const char*, std::string*>>{
             {"base_url", &endpoint.base_url}, {"grpc", &endpoint.grpc}, {"billing", &endpoint.billing},
             {"scheduler", &endpoint.scheduler}, {"api_key", &endpoint.api_key}, {"admin_key", &endpoint.admin_key},
             {"rpc.tls_ca_file", &endpoint.rpc_tls.ca_file}, {"rpc.tls_cert_file", &endpoint.rpc_tls.cert_file},
             {"rpc.tls_key_file", &endpoint.rpc_tls.key_file}, {"grpc.tls_ca_file", &endpoint.grpc_ca}}) {
      TG_ASSIGN(auto text, json::find_string(from, key, path));
      if (text) *target = *text;
    }
    TG_TRY(rpc::check_rpc_tls(endpoint.rpc_tls, rpc::kCliRole, SystemClock().wall()));
    return endpoint;
  }
  return fail(Code::kNotFound, "no_endpoint",
              fmt::format("no endpoint file; looked at {}. Start an installation with deploy/up, or pass --endpoint FILE",
                          fmt::join(candidates, ", ")));
}

Result<std::string> load_token(const Arguments& arguments) {
  std::string token;
  if (arguments.has("token-file")) {
    const std::string path = arguments.option("token-file");
    TG_ASSIGN(token, read_text(path));
    while (!token.empty() && (token.back() == '\n' || token.back() == '\r' || token.back() == ' ')) token.pop_back();
    if (token.empty()) return fail(Code::kInvalidArgument, "bad_token", fmt::format("'{}' holds no token", path), "token-file");
  } else if (const char* from_environment = std::getenv("TIDEGATE_TOKEN")) {
    token = from_environment;
  }
  // gRPC ends the program at a byte that HTTP/2 forbids in a header.
  const bool is_visible = std::ranges::all_of(token, [](char c) { return c > ' ' && c < 0x7f; });
  if (is_visible && token.size() <= kTokenBytesMax) return token;
  return fail(Code::kInvalidArgument, "bad_token",
              fmt::format("a token is one word of at most {} visible characters", kTokenBytesMax), "token-file");
}

Result<Connection> Connection::open(const Arguments& arguments) {
  TG_ASSIGN(Endpoint endpoint, load_endpoint(arguments));
  TG_ASSIGN(std::string token, load_token(arguments));
  if (!token.empty()) endpoint.admin_key = std::move(token);
  Connection connection;
  connection.endpoint_ = std::move(endpoint);
  return connection;
}

v1::BillingAdmin::Stub& Connection::billing() {
  if (!billing_) billing_ = billing_stub<v1::BillingAdmin>(endpoint_);
  return *billing_;
}
v1::AuditLog::Stub& Connection::audit() {
  if (!audit_) audit_ = billing_stub<v1::AuditLog>(endpoint_);
  return *audit_;
}
v1::Receipts::Stub& Connection::receipts() {
  if (!receipts_) receipts_ = billing_stub<v1::Receipts>(endpoint_);
  return *receipts_;
}
v1::Budgets::Stub& Connection::budgets() {
  if (!budgets_) budgets_ = billing_stub<v1::Budgets>(endpoint_);
  return *budgets_;
}
v1::Limits::Stub& Connection::limits() {
  if (!limits_) limits_ = billing_stub<v1::Limits>(endpoint_);
  return *limits_;
}
v1::Ledger::Stub& Connection::ledger() {
  if (!ledger_) ledger_ = billing_stub<v1::Ledger>(endpoint_);
  return *ledger_;
}
v1::Statements::Stub& Connection::statements() {
  if (!statements_) statements_ = billing_stub<v1::Statements>(endpoint_);
  return *statements_;
}
v1::Pricing::Stub& Connection::pricing() {
  if (!pricing_) pricing_ = billing_stub<v1::Pricing>(endpoint_);
  return *pricing_;
}
v1::FleetAdmin::Stub& Connection::fleet() {
  if (!fleet_) {
    fleet_ = make_stub<v1::FleetAdmin>(
        endpoint_.scheduler, rpc::channel_credentials(endpoint_.scheduler, endpoint_.rpc_tls, rpc::kSchedulerRole));
  }
  return *fleet_;
}
v1::Inference::Stub& Connection::inference() {
  if (!inference_) {
    inference_ =
        make_stub<v1::Inference>(endpoint_.grpc, rpc::public_channel_credentials(endpoint_.grpc, endpoint_.grpc_ca));
  }
  return *inference_;
}

void Connection::prepare_admin(grpc::ClientContext& context) const {
  context.set_deadline(std::chrono::system_clock::now() + kAdminDeadline);
  context.AddMetadata("authorization", "Bearer " + endpoint_.admin_key);
}

void Connection::prepare_inference(grpc::ClientContext& context, const std::string& api_key) const {
  context.set_deadline(std::chrono::system_clock::now() + kChatDeadline);
  context.AddMetadata("authorization", "Bearer " + (api_key.empty() ? endpoint_.api_key : api_key));
}

Error Connection::to_error(const grpc::Status& status, const grpc::ClientContext& context) {
  const auto trailer = [&](const char* key) {
    const auto& metadata = context.GetServerTrailingMetadata();
    const auto found = metadata.find(key);
    return found == metadata.end() ? std::string() : std::string(found->second.data(), found->second.size());
  };
  std::string reason = trailer("tidegate-reason");
  const auto code = static_cast<Code>(status.error_code());
  if (reason.empty()) reason = code_name(code);
  return Error(code, std::move(reason), status.error_message(), trailer("tidegate-field"));
}

}  // namespace tidegate::cli
