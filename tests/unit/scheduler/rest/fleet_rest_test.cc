#include "scheduler/rest/fleet_rest.h"

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>

#include "base/core/clock.h"
#include "base/crypto/api_key.h"
#include "base/json/json.h"
#include "base/net/http_client.h"
#include "base/rpc/server.h"
#include "google/api/annotations.pb.h"
#include "scheduler/core/fleet_callers.h"
#include "scheduler/rest/fleet_rest_server.h"
#include "scheduler/rest/message_json.h"
#include "scheduler/rest/rest_routes.h"
#include "scheduler/rpc/fleet_admin_host.h"
#include "tests/support/log_capture.h"
#include "tests/support/net/certificates.h"
#include "tests/support/scheduler/fake_directory.h"
#include "tests/support/sequential_ids.h"
#include "tests/support/temp_dir.h"
#include "tidegate/v1/fleet.grpc.pb.h"

namespace tidegate::scheduler {
namespace fleet_rest_test {

/// FleetAdmin with one deployment, behind the real check of callers. Keeps what it was asked.
class FakeFleetAdmin final : public v1::FleetAdmin::CallbackService {
 public:
  explicit FakeFleetAdmin(FleetAdminHost& host) : host_(host) {}
  grpc::ServerUnaryReactor* ListDeployments(grpc::CallbackServerContext* call, const v1::ListDeploymentsRequest*,
                                            v1::ListDeploymentsResponse* response) override {
    return host_.serve(call, response, [](const FleetCall&) -> Result<v1::ListDeploymentsResponse> {
      v1::ListDeploymentsResponse out;
      v1::Deployment* one = out.add_deployments();
      one->set_name("chat");
      one->set_version(7);
      one->add_progress()->set_phase("load");
      return out;
    });
  }
  grpc::ServerUnaryReactor* ApplyDeployment(grpc::CallbackServerContext* call, const v1::Deployment* request,
                                            v1::Deployment* response) override {
    return host_.serve(call, response, [this, request](const FleetCall& c) -> Result<v1::Deployment> {
      if (request->replicas() > 64)
        return fail(Code::kOutOfRange, "out_of_range", "replicas must be 0 to 64", "replicas");
      applied = *request;
      actor = c.caller().actor;
      return *request;
    });
  }
  grpc::ServerUnaryReactor* ChangeRollout(grpc::CallbackServerContext* call, const v1::ChangeRolloutRequest* request,
                                          v1::Deployment* response) override {
    return host_.serve(call, response, [this, request](const FleetCall&) -> Result<v1::Deployment> {
      changed = *request;
      return fail(Code::kFailedPrecondition, "no_rollout", "nothing to promote", "name");
    });
  }
  grpc::ServerUnaryReactor* PlanDeployment(grpc::CallbackServerContext* call, const v1::PlanDeploymentRequest* request,
                                           v1::DeploymentPlan* response) override {
    return host_.serve(call, response, [request](const FleetCall&) -> Result<v1::DeploymentPlan> {
      v1::DeploymentPlan out;
      out.set_model(request->model());
      out.set_context(request->context());
      out.add_options()->set_price_micros_per_hour(9'007'199'254'740'993);  // no double holds it
      return out;
    });
  }
  grpc::ServerUnaryReactor* DeleteDeployment(grpc::CallbackServerContext* call,
                                             const v1::DeleteDeploymentRequest* request,
                                             v1::DeleteDeploymentResponse* response) override {
    return host_.serve(call, response, [this, request](const FleetCall&) -> Result<v1::DeleteDeploymentResponse> {
      deleted = request->name();
      return v1::DeleteDeploymentResponse();
    });
  }

  // Written before the answer leaves, read after it arrived.
  v1::Deployment applied;
  v1::ChangeRolloutRequest changed;
  std::string actor;
  std::string deleted;

 private:
  FleetAdminHost& host_;
};

struct FleetRestTest : testing::Test {
  FleetRestTest() : FleetRestTest(false) {}
  explicit FleetRestTest(bool is_tls) {
    rpc::ServerOptions grpc_options;
    grpc_options.listen = {"unix:" + folder_.file("s")};
    FleetRestOptions options;
    if (is_tls) {
      certificates_.issue("scheduler", "scheduler");
      grpc_options.listen = {"0.0.0.0:0"};
      grpc_options.tls = certificates_.rpc("scheduler");
      options.tls = grpc_options.tls;
    }
    server_ = std::move(rpc::RpcServer::start(grpc_options, {&service_}).value());
    options.listen = "127.0.0.1:0";
    options.fleet_address = server_->addresses().front();
    rest_ = std::move(FleetRestServer::start(options, clock_, log_, registry_).value());
  }
  ~FleetRestTest() override {
    rest_.reset();
    server_.reset();
    workers_.stop();
  }
  HttpClientResponse ask(const std::string& verb, const std::string& path, const std::string& body = {}) {
    return ask_with("Bearer " + operator_key_, verb, path, body);
  }
  HttpClientResponse ask_with(const std::string& authorization, const std::string& verb, const std::string& path,
                              const std::string& body = {}) {
    HttpClientRequest request(verb, path, body);  // http_fetch takes its target from the URL
    if (!authorization.empty()) request.headers.emplace_back("Authorization", authorization);
    auto answer = http_fetch("http://" + rest_->address() + path, std::move(request), std::chrono::seconds(20));
    if (!answer) throw std::runtime_error(answer.error().to_string());
    return *std::move(answer);
  }
  /// "400 bad_json"
  static std::string refusal(const HttpClientResponse& answer) {
    const auto body = json::parse(answer.body);
    if (!body) return std::to_string(answer.status) + " not JSON: " + answer.body;
    const json::value& reason = body->at("error").at("reason");
    return std::to_string(answer.status) + " " + std::string(reason.as_string());
  }

  test::TempDir folder_;
  test::Certificates certificates_;
  SystemClock clock_;
  test::LogCapture log_;
  MemoryRegistry registry_;
  test::SeededEntropy entropy_;
  const std::string operator_key_ = mint_api_key(entropy_, KeyKind::kAdmin).text;
  FakeDirectory directory_;
  CallerDesk desk_{operator_key_, &directory_, clock_};
  rpc::WorkPool workers_{2, 16};
  FleetAdminHost host_{
      desk_, workers_, log_, {registry_.counter("allowed_total", ""), registry_.counter("refused_total", "")}};
  FakeFleetAdmin service_{host_};
  std::unique_ptr<rpc::RpcServer> server_;
  std::unique_ptr<FleetRestServer> rest_;
};

TEST_F(FleetRestTest, ListsAndFindsDeploymentsWithTheirProgress) {
  const auto all = ask("GET", "/v1/tidegate/deployments");
  EXPECT_EQ(all.status, 200) << all.body;
  EXPECT_NE(all.body.find(R"("phase":"load")"), std::string::npos) << all.body;
  EXPECT_NE(all.body.find(R"("replicas_ready":0)"), std::string::npos)
      << "fields that are empty are there: " << all.body;
  const auto one = ask("GET", "/v1/tidegate/deployments/chat");
  EXPECT_EQ(one.status, 200);
  EXPECT_EQ(json::parse(one.body)->at("version").as_string(), "7");
  EXPECT_EQ(refusal(ask("GET", "/v1/tidegate/deployments/other")), "404 unknown_deployment");
}

TEST_F(FleetRestTest, AppliesWhatThePathNames) {
  const auto answer = ask(
      "PUT", "/v1/tidegate/deployments/chat",
      R"({"model":"tang-moe","variant":"fp8","replicas":2,"rollout_steps":[10,100],"autoscale":{"replicas_max":4}})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(service_.applied.name(), "chat");
  EXPECT_EQ(service_.applied.rollout_steps(1), 100);
  EXPECT_EQ(service_.applied.autoscale().replicas_max(), 4);
  EXPECT_TRUE(service_.actor.starts_with("admin/")) << service_.actor;
  EXPECT_EQ(refusal(ask("PUT", "/v1/tidegate/deployments/chat", R"({"name":"other"})")), "400 name_differs");
  EXPECT_EQ(refusal(ask("PUT", "/v1/tidegate/deployments/chat", R"({"replicas":65})")), "400 out_of_range");
}

TEST_F(FleetRestTest, PlansInExactNumbers) {
  const auto answer = ask("POST", "/v1/tidegate/deployment_plans", R"({"model":"m","context":"4096"})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  const auto plan = json::parse(answer.body);
  EXPECT_EQ(plan->at("context").as_string(), "4096");
  EXPECT_EQ(plan->at("options").at(0).at("price_micros_per_hour").as_string(), "9007199254740993");
}

TEST_F(FleetRestTest, ChangesRolloutsAndDeletes) {
  EXPECT_EQ(
      refusal(ask("POST", "/v1/tidegate/deployments/chat/rollout", R"({"change":"CHANGE_PROMOTE","at_once":true})")),
      "409 no_rollout");
  EXPECT_EQ(service_.changed.name(), "chat");
  EXPECT_EQ(service_.changed.change(), v1::ChangeRolloutRequest::CHANGE_PROMOTE);
  EXPECT_TRUE(service_.changed.at_once());
  const auto gone = ask("DELETE", "/v1/tidegate/deployments/chat");
  EXPECT_EQ(gone.status, 200) << gone.body;
  EXPECT_EQ(gone.body, "{}");
  EXPECT_EQ(service_.deleted, "chat");
}

TEST_F(FleetRestTest, WhatTheMessageDoesNotHaveIsRefusedByName) {
  const auto unknown = ask("PUT", "/v1/tidegate/deployments/chat", R"({"replica":2})");
  EXPECT_EQ(refusal(unknown), "400 bad_json");
  EXPECT_NE(unknown.body.find("replica"), std::string::npos) << unknown.body;
  EXPECT_NE(unknown.body.find("Deployment"), std::string::npos) << unknown.body;
  EXPECT_EQ(refusal(ask("PUT", "/v1/tidegate/deployments/chat", R"({"replicas":"many"})")), "400 bad_json");
  EXPECT_EQ(refusal(ask("PUT", "/v1/tidegate/deployments/chat", "{")), "400 bad_json");
  EXPECT_EQ(refusal(ask("POST", "/v1/tidegate/deployments/chat/rollout", R"({"change":"CHANGE_MIND"})")),
            "400 bad_json");
}

TEST_F(FleetRestTest, RolesAreThoseOfTheService) {
  directory_.add("owner.a.b", {"person/ann", CallerRole::kOwner, false});
  directory_.add("viewer.a.b", {"person/bob", CallerRole::kViewer, false});
  directory_.add("tenant.a.b", {"person/eve", CallerRole::kOwner, true});
  const std::string path = "/v1/tidegate/deployments/chat";
  EXPECT_EQ(ask_with("Bearer owner.a.b", "PUT", path, "{}").status, 200);
  EXPECT_EQ(service_.actor, "person/ann");
  EXPECT_EQ(ask_with("Bearer viewer.a.b", "GET", path).status, 200);
  EXPECT_EQ(refusal(ask_with("Bearer viewer.a.b", "PUT", path, "{}")), "403 role_not_allowed");
  EXPECT_EQ(refusal(ask_with("Bearer viewer.a.b", "DELETE", path)), "403 role_not_allowed");
  EXPECT_EQ(refusal(ask_with("Bearer tenant.a.b", "GET", path)), "403 tenant_not_allowed");
  EXPECT_TRUE(service_.deleted.empty());
}

TEST_F(FleetRestTest, StrangersAndOddTokensAreRefused) {
  const std::string path = "/v1/tidegate/deployments";
  EXPECT_EQ(refusal(ask_with("", "GET", path)), "401 missing_token");
  EXPECT_EQ(refusal(ask_with("Bearer nonsense", "GET", path)), "401 bad_token");
  EXPECT_EQ(refusal(ask_with("Basic " + operator_key_, "GET", path)), "401 bad_token");
  EXPECT_EQ(refusal(ask_with("Bearer two words", "GET", path)), "401 bad_token");
  EXPECT_EQ(refusal(ask_with("Bearer " + std::string(9000, 'a'), "GET", path)), "401 bad_token");
  EXPECT_EQ(ask("GET", path).status, 200) << "the process goes on";
}

TEST_F(FleetRestTest, UnknownPathsAndMethodsSayWhatThereIs) {
  EXPECT_EQ(refusal(ask("GET", "/v1/tidegate/nothing")), "404 unknown_route");
  EXPECT_EQ(refusal(ask("GET", "/v1/tidegate/deployments/a/b")), "404 unknown_route");
  EXPECT_EQ(refusal(ask("GET", "/v1/tidegate/deployments/")), "404 unknown_route");
  const auto wrong = ask("POST", "/v1/tidegate/deployments/chat", "{}");
  EXPECT_EQ(refusal(wrong), "405 method_not_allowed");
  EXPECT_EQ(wrong.header("Allow"), "GET, PUT, DELETE");
}

TEST_F(FleetRestTest, WithoutTheServiceItSaysSo) {
  server_.reset();
  const auto answer = ask("GET", "/v1/tidegate/deployments");
  EXPECT_TRUE(answer.status == 503 || answer.status == 504) << answer.status << answer.body;
}

struct FleetRestOverTlsTest : FleetRestTest {
  FleetRestOverTlsTest() : FleetRestTest(true) {}
};

TEST_F(FleetRestOverTlsTest, TheSchedulerCallsItselfWithItsOwnCertificate) {
  const auto answer = ask("GET", "/v1/tidegate/deployments/chat");
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(refusal(ask_with("", "GET", "/v1/tidegate/deployments")), "401 missing_token")
      << "a certificate is no caller";
}

/// "PUT /v1/tidegate/deployments/{name}" -> method, as the .proto annotates it.
std::map<std::string, std::string> annotated_routes() {
  std::map<std::string, std::string> out;
  const auto* service = v1::Deployment::descriptor()->file()->FindServiceByName("FleetAdmin");
  for (int i = 0; i < service->method_count(); ++i) {
    const auto* method = service->method(i);
    const google::api::HttpRule& rule = method->options().GetExtension(google::api::http);
    std::string route;
    if (!rule.get().empty()) route = "GET " + rule.get();
    if (!rule.put().empty()) route = "PUT " + rule.put();
    if (!rule.post().empty()) route = "POST " + rule.post();
    if (!rule.delete_().empty()) route = "DELETE " + rule.delete_();
    out[route] = method->name();
  }
  return out;
}

TEST(RestRoutes, AreTheAnnotationsAndOneDeployment) {
  auto annotated = annotated_routes();
  annotated["GET /v1/tidegate/deployments/{name}"] = "ListDeployments";
  std::map<std::string, std::string> served;
  for (const RestRoute& route : rest_routes())
    served[std::string(route.verb) + " " + std::string(route.path)] = route.rpc;
  EXPECT_EQ(served, annotated);
}

json::value openapi() { return json::parse_file(std::string(TG_SOURCE_DIR) + "/docs/api/fleet_openapi.json").value(); }

TEST(RestRoutes, AreTheOnesOfTheOpenApiDocument) {
  std::set<std::string> documented, served;
  const json::value document = openapi();
  for (const auto& path : document.at("paths").as_object()) {
    for (const auto& entry : path.value().as_object()) {
      std::string verb(entry.key().data(), entry.key().size());
      if (verb == "parameters") continue;
      for (char& c : verb) c = static_cast<char>(c - 'a' + 'A');
      documented.insert(verb + " " + std::string(path.key().data(), path.key().size()));
    }
  }
  for (const RestRoute& route : rest_routes()) served.insert(std::string(route.verb) + " " + std::string(route.path));
  EXPECT_EQ(served, documented);
}

std::string json_type(const google::protobuf::FieldDescriptor& field) {
  using Field = google::protobuf::FieldDescriptor;
  if (field.is_repeated()) return "array";
  switch (field.cpp_type()) {
    case Field::CPPTYPE_BOOL:
      return "boolean";
    case Field::CPPTYPE_INT32:
    case Field::CPPTYPE_UINT32:
      return "integer";
    case Field::CPPTYPE_DOUBLE:
    case Field::CPPTYPE_FLOAT:
      return "number";
    case Field::CPPTYPE_MESSAGE:
      return "$ref";
    default:
      return "string";  // 64-bit integers, enums, text
  }
}

TEST(RestRoutes, EverySchemaOfTheDocumentHasTheFieldsOfItsMessage) {
  const json::value document = openapi();
  int messages = 0;
  for (const auto& schema : document.at("components").at("schemas").as_object()) {
    const std::string name(schema.key().data(), schema.key().size());
    if (name == "Error") continue;
    const auto* message = v1::Deployment::descriptor()->file()->pool()->FindMessageTypeByName("tidegate.v1." + name);
    ASSERT_NE(message, nullptr) << name;
    ++messages;
    const json::object& properties = schema.value().at("properties").as_object();
    EXPECT_EQ(static_cast<int>(properties.size()), message->field_count()) << name;
    for (int i = 0; i < message->field_count(); ++i) {
      const auto* field = message->field(i);
      ASSERT_TRUE(properties.contains(field->name())) << name << "." << field->name();
      const json::object& property = properties.at(field->name()).as_object();
      const std::string type = json_type(*field);
      if (type == "$ref") {
        EXPECT_TRUE(property.contains("$ref")) << name << "." << field->name();
      } else {
        EXPECT_EQ(property.at("type").as_string(), type) << name << "." << field->name();
      }
    }
  }
  EXPECT_GT(messages, 10);
}

TEST(OwnAddress, IsOneThatCanBeDialled) {
  EXPECT_EQ(own_address("0.0.0.0:8092"), "127.0.0.1:8092");
  EXPECT_EQ(own_address("[::]:8092"), "[::1]:8092");
  EXPECT_EQ(own_address("unix:/run/s"), "unix:/run/s");
  EXPECT_EQ(own_address("10.0.0.1:8092"), "10.0.0.1:8092");
}

TEST(RestStatus, SaysWhoseFaultItIs) {
  EXPECT_EQ(rest_status(Code::kOutOfRange), 400);
  EXPECT_EQ(rest_status(Code::kAborted), 409);
  EXPECT_EQ(rest_status(Code::kUnavailable), 503);
  EXPECT_EQ(rest_status(Code::kInternal), 500);
}

}  // namespace fleet_rest_test
}  // namespace tidegate::scheduler
