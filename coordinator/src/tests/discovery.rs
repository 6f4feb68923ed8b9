//! What probes and tools that know nothing of Trainyard find: health and reflection.

use tokio_stream::StreamExt;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::*;

const SERVICES: [&str; 3] = [
    "trainyard.v1.Jobs",
    "trainyard.v1.Depot",
    "trainyard.v1.Workers",
];

#[tokio::test]
async fn a_probe_finds_every_service_healthy_and_no_other() {
    let (rig, client) = rig().await;
    let mut health = HealthClient::new(client.channel());
    for service in ["", SERVICES[0], SERVICES[1], SERVICES[2]] {
        let request = HealthCheckRequest {
            service: service.to_string(),
        };
        let answer = health.check(request).await.expect("known").into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let unknown = HealthCheckRequest {
        service: "trainyard.v1.Nothing".to_string(),
    };
    let refused = health.check(unknown).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::NotFound);
    drop((health, client));
    rig.stop().await.expect("it ends well");
}

#[tokio::test]
async fn a_tool_learns_the_services_by_reflection() {
    let (rig, client) = rig().await;
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(client.channel());
    let answers = reflection
        .server_reflection_info(tokio_stream::once(request))
        .await;
    let answer = answers.expect("answered").into_inner().next().await;
    let answer = answer.expect("one answer").expect("an answer");
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}");
    };
    let names: Vec<String> = list
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    for service in SERVICES.into_iter().chain(["grpc.health.v1.Health"]) {
        assert!(names.iter().any(|name| name == service), "{names:?}");
    }
    drop((reflection, client));
    rig.stop().await.expect("it ends well");
}
