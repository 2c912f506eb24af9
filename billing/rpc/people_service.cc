#include "billing/rpc/people_service.h"

#include "billing/rpc/admin_caller.h"
#include "billing/rpc/messages.h"

namespace tidegate::billing {

grpc::ServerUnaryReactor* PeopleService::WhoIs(grpc::CallbackServerContext* call, const v1::WhoIsRequest* request,
                                               v1::Person* response) {
  return host_.serve(call, response, [this, request](const rpc::ServerCall& c) -> Result<v1::Person> {
    TG_TRY(check_caller_shape(context_, request->token()));
    TG_ASSIGN(const AdminCaller caller, find_caller(context_, request->token(), c.deadline()));
    v1::Person out;
    out.set_actor(caller.actor);
    out.set_role(to_message(caller.role));
    if (caller.tenant) out.set_tenant_id(caller.tenant->to_string());
    return out;
  });
}

}  // namespace tidegate::billing
