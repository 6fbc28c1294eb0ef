{{- /* One variable from the Secret. Takes dict "name" and "secret". */ -}}
{{- define "account-health.fromSecret" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .name }}
{{- end }}

{{- /*
The settings of a process, as variables of the pod and not of a ConfigMap: a change of them is a new revision of the
Deployment, which pods of the old one don't see. Takes dict "root", "secret", and "sealed" for those that open secrets.
*/ -}}
{{- define "account-health.environment" -}}
{{- $root := .root -}}
{{- $kafka := $root.Values.kafka -}}
{{ include "account-health.fromSecret" (dict "name" "HEALTH_DATABASE_URL" "secret" .secret) }}
{{- if .sealed }}
{{ include "account-health.fromSecret" (dict "name" "HEALTH_ENCRYPTION_KEY" "secret" .secret) }}
{{- end }}
- name: HEALTH_KAFKA_BOOTSTRAP_SERVERS
  value: {{ $kafka.bootstrapServers | quote }}
- name: HEALTH_KAFKA_GROUP
  value: {{ $kafka.group | quote }}
- name: HEALTH_KAFKA_PARTITIONS
  value: {{ $kafka.partitions | int | quote }}
- name: HEALTH_KAFKA_REPLICATION
  value: {{ $kafka.replication | int | quote }}
{{- range $signal, $topic := $kafka.topics }}
- name: HEALTH_TOPIC_{{ upper $signal }}
  value: {{ $topic | quote }}
{{- end }}
- name: HEALTH_KAFKA_SECURITY_PROTOCOL
  value: {{ $kafka.securityProtocol | quote }}
{{- if hasPrefix "SASL_" $kafka.securityProtocol }}
- name: HEALTH_KAFKA_SASL_MECHANISM
  value: {{ $kafka.sasl.mechanism | quote }}
- name: HEALTH_KAFKA_SASL_USERNAME
  value: {{ $kafka.sasl.username | quote }}
{{ include "account-health.fromSecret" (dict "name" "HEALTH_KAFKA_SASL_PASSWORD" "secret" .secret) }}
{{- end }}
{{- if $kafka.tls.existingSecret }}
- name: HEALTH_KAFKA_SSL_CA_FILE
  value: /etc/account-health/kafka/ca.crt
{{- if $kafka.tls.certKey }}
- name: HEALTH_KAFKA_SSL_CERT_FILE
  value: /etc/account-health/kafka/tls.crt
- name: HEALTH_KAFKA_SSL_KEY_FILE
  value: /etc/account-health/kafka/tls.key
{{- end }}
{{- end }}
{{- if or $root.Values.publicUrl $root.Values.api.ingress.enabled }}
- name: HEALTH_PUBLIC_URL
  value: {{ include "account-health.publicUrl" $root | quote }}
{{- end }}
{{- if $root.Values.tracing.enabled }}
- name: HEALTH_TRACING
  value: otlp
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ $root.Values.tracing.endpoint | quote }}
{{- end }}
{{- range $name, $value := $root.Values.settings }}
- name: {{ $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}

{{- define "account-health.publicUrl" -}}
{{- with .Values.api.ingress -}}
{{- $.Values.publicUrl | default (printf "%s://%s" (ternary "https" "http" (not (empty .tlsSecret))) .host) -}}
{{- end -}}
{{- end }}
