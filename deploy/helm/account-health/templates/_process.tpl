{{- /*
The Deployment of one process and its PodDisruptionBudget. Takes dict "root", "component", "command", "values", "scaled"
if something else decides how many there are, "least" the fewest that there are, "sealed" if it opens secrets, "surge" if
a new pod may run beside the old one.

No consumer gets a HEALTH_KAFKA_INSTANCE_ID. A lasting name helps where a pod comes back under the name it had, as in a
StatefulSet; a name that never comes back would make the broker wait for it at every rollout and scaling, where a
consumer without one says goodbye and its partitions are taken over at once.
*/ -}}
{{- define "account-health.process" -}}
{{- include "account-health.check" .root -}}
{{- $root := .root -}}
{{- $name := printf "%s-%s" (include "account-health.fullname" $root) .component -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "account-health.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  {{- if not .scaled }}
  replicas: {{ .values.replicas }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "account-health.selector" $root | nindent 6 }}
      app.kubernetes.io/component: {{ .component }}
  strategy:
    type: RollingUpdate
    rollingUpdate:
      {{- if .surge }}
      maxSurge: 1
      maxUnavailable: 0
      {{- else }}
      # Never more than were asked for: there may be as many as partitions already.
      maxSurge: 0
      maxUnavailable: 1
      {{- end }}
  template:
    metadata:
      labels:
        {{- include "account-health.labels" $root | nindent 8 }}
        app.kubernetes.io/component: {{ .component }}
        {{- with $root.Values.pod.labels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        {{- if not $root.Values.secrets.existingSecret }}
        checksum/secret: {{ toJson $root.Values.secrets | sha256sum }}
        {{- end }}
        kubectl.kubernetes.io/default-container: {{ .component }}
        {{- with $root.Values.pod.annotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "account-health.serviceAccount" $root }}
      {{- include "account-health.placement" $root | nindent 6 }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: {{ ternary "DoNotSchedule" "ScheduleAnyway" (eq $root.Values.pod.spread "hard") }}
          labelSelector:
            matchLabels:
              {{- include "account-health.selector" $root | nindent 14 }}
              app.kubernetes.io/component: {{ .component }}
          # Of one revision: else a rollout would count the pods that it is about to replace.
          matchLabelKeys: [pod-template-hash]
      securityContext:
        {{- include "account-health.podSecurity" $root | nindent 8 }}
      # What is under way may take 20 seconds to finish, after the pause below.
      terminationGracePeriodSeconds: 45
      containers:
        - name: {{ .component }}
          image: {{ include "account-health.image" $root }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: [{{ .command }}]
          env:
            {{- include "account-health.environment" (dict "root" $root "secret" (include "account-health.secret" $root) "sealed" .sealed) | nindent 12 }}
          ports:
            {{- if eq .component "api" }}
            - {name: http, containerPort: 8080}
            {{- end }}
            - {name: probes, containerPort: 9100}
          startupProbe:
            httpGet: {path: /livez, port: probes}
            periodSeconds: 2
            failureThreshold: 60
          # Only a loop that is stuck isn't alive: waiting for Postgres or Kafka is no reason to start again.
          livenessProbe:
            httpGet: {path: /livez, port: probes}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 3
          readinessProbe:
            httpGet: {path: /readyz, port: {{ ternary "http" "probes" (eq .component "api") }}}
            periodSeconds: 5
            timeoutSeconds: 5
            failureThreshold: 2
          {{- if eq .component "api" }}
          lifecycle:
            # Until all nodes have heard that it goes, requests still come.
            preStop: {sleep: {seconds: 5}}
          {{- end }}
          resources:
            {{- toYaml .values.resources | nindent 12 }}
          securityContext:
            {{- include "account-health.containerSecurity" $root | nindent 12 }}
          volumeMounts:
            {{- include "account-health.mounts" $root | nindent 12 }}
      volumes:
        {{- include "account-health.volumes" $root | nindent 8 }}
{{- if gt (int .least) 1 }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "account-health.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  maxUnavailable: 1
  # A node can be drained of pods that do no work anyway.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "account-health.selector" $root | nindent 6 }}
      app.kubernetes.io/component: {{ .component }}
{{- end }}
{{- end }}
